"""`GET /api/requests…`: the last requests, for the page and for `dragoman top`; a key sees its own requests."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Final

import msgspec
from msgspec import Struct
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dragoman.errors import ForeignHost, UnknownModel, UnknownObject
from dragoman.observability.details import Details
from dragoman.observability.recent import Inspect, Phase, RecentRequest, RequestSummary
from dragoman.server.access.auth import KEY, Key
from dragoman.server.answering.preparation import is_large
from dragoman.server.answering.rendering import in_worker
from dragoman.server.kept_requests.content import RequestContent, content_of, segments_of
from dragoman.server.kept_requests.report import report_of
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.served_model import ServedModel
from dragoman.server.models.status import ModelStatuses, merged, statuses_of
from dragoman.server.transport.disconnect import until_disconnect
from dragoman.server.transport.respond import STREAM_HEADERS, response_start, send_json

REQUESTS: Final = "/api/requests"
UPDATE_SECONDS: Final = 0.25
"""How often a stream looks for changes. Requests do no work for it."""
STREAM_SECONDS: Final = 60.0
"""After that a stream ends, and the page begins another: a server that does not announce its shutdown waits for streams."""
_SILENCE_SECONDS: Final = 10.0
_CHUNK: Final = 64 * 1024
_OWN_PAGE: Final = frozenset({"same-origin", "none"})
"""Values of `sec-fetch-site`: a page of this server, and a person who typed the address."""
_encode = msgspec.json.Encoder().encode


class Overview(Struct, frozen=True):
    """What is served, and the last requests, the newest first."""

    inspect: Inspect
    models: ModelStatuses
    requests: Sequence[RequestSummary]


class _View(ABC):
    """Base of the endpoints; a request from a web page must be from a page of this server."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; what this worker has not kept may be in another one. Raises `ForeignHost`, `UnknownObject`."""
        _check_page(Headers(scope=scope))
        try:
            await self.answer(scope, receive, send)
        except UnknownObject:
            replies = await self.registry.siblings.ask(scope)
            if not replies:
                raise
            await _send_bytes(send, replies[0].body, replies[0].headers)

    @abstractmethod
    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises `UnknownObject`."""

    def requests(self, scope: Scope, but: Collection[str] = ()) -> Iterator[RequestSummary]:
        """Yield the requests of this process that the key may see, the newest first, but those with these ids."""
        for request in self.registry.recent:
            if request.record.request_id not in but and _may_see(scope, request):
                yield request.summary

    async def overview(self, scope: Scope, but: Collection[str] = ()) -> Overview:
        """Return what is served, and the requests in all workers, but those with these ids."""
        replies = await self.registry.siblings.ask(scope, REQUESTS)
        others = [msgspec.json.decode(reply.body, type=Overview) for reply in replies]
        requests = [
            *self.requests(scope, but),
            *(request for other in others for request in other.requests if request.entry.request_id not in but),
        ]
        if others:
            requests = sorted(requests, key=lambda request: request.began, reverse=True)[: self.registry.recent.most_requests]
        models = merged(statuses_of(self.registry), [other.models for other in others])
        return Overview(self.registry.recent.mode, models, requests)

    def found(self, scope: Scope) -> tuple[RecentRequest, Details]:
        """Return the request in the path, and its content. Raises `UnknownObject`."""
        wanted = scope["path_params"]["request"]
        request = self.registry.recent.find(wanted)
        if request is None or not _may_see(scope, request):
            raise UnknownObject(f"the request {wanted[:80]} is not kept; the last {self.registry.recent.most_requests} are")
        if request.details is None:
            why = (
                "--inspect full keeps it" if self.registry.recent.mode is not Inspect.FULL else "newer requests took its memory"
            )
            raise UnknownObject(f"the content of the request {wanted[:80]} is not kept: {why}")
        return request, request.details

    async def content(self, request: RecentRequest, details: Details) -> RequestContent:
        """Return the content of a request. Raises what the engine's tokenizer raises."""
        tokens = request.summary.entry.tokens
        cached = tokens.cached if tokens else None
        segments = await segments_of(details.prompt, self.model(request), cached) if details.prompt else []
        return await asyncio.to_thread(content_of, request, details, segments)

    def model(self, request: RecentRequest) -> ServedModel | None:
        """Return the model that answered a request, if it is loaded."""
        try:
            stay = self.registry.residents.stay(self.registry.find_exactly(request.record.served))
        except UnknownModel:
            return None
        return stay.model if stay else None


def _may_see(scope: Scope, request: RecentRequest) -> bool:
    """Whether the key of a request may see another one."""
    key: Key = scope["state"][KEY]
    return key.inspects_all or request.record.key == key.name


class RequestList(_View):
    """Answers with what is served, and the last requests."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await send_json(send, await self.overview(scope), headers=_PRIVATE)


class RequestDetail(_View):
    """Answers with a request and its content, except its body."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises `UnknownObject`."""
        content = await self.content(*self.found(scope))
        await _send_bytes(send, await asyncio.to_thread(_encode, content))


class RequestBody(_View):
    """Answers with the body of a request, to the byte."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises `UnknownObject`."""
        await _send_bytes(send, self.found(scope)[1].body)


class RequestReport(_View):
    """Answers with the report of a request, without secrets, as a file."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises `UnknownObject`, and `InvalidRequest` for one that is too large."""
        request, details = self.found(scope)
        content = await self.content(request, details)
        model = self.model(request)
        server = {"dragoman": version("dragoman"), **(model.found.found if model else {})}
        if is_large(details.body):
            report: bytes = await in_worker(report_of, content, details.body, server)
        else:
            report = await asyncio.to_thread(report_of, content, details.body, server)
        name = f"dragoman-{request.record.request_id}.json"
        await _send_bytes(send, report, {"content-disposition": f'attachment; filename="{name}"'})


class RequestStream(_View):
    """Streams an overview, then every request that changes, and the models if they change."""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; ends when the client disconnects or the server shuts down."""
        await until_disconnect(receive, self._stream(scope, send))

    async def _stream(self, scope: Scope, send: Send) -> None:
        await send(response_start(200, {**STREAM_HEADERS, **_PRIVATE}))
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAM_SECONDS):
                await self._send_changes(scope, send)
        await send({"type": "http.response.body", "body": b""})

    async def _send_changes(self, scope: Scope, send: Send) -> None:
        overview = await self.overview(scope)
        over = _over(overview)
        models, frames, silent = overview.models, [_frame("overview", overview)], 0.0
        while not self.registry.shutdown.is_set():
            silent = 0.0 if frames else silent + UPDATE_SECONDS
            if silent >= _SILENCE_SECONDS:
                frames, silent = [b": nothing has changed\n\n"], 0.0
            if frames:
                await send({"type": "http.response.body", "body": b"".join(frames), "more_body": True})
            with suppress(TimeoutError):
                await asyncio.wait_for(self.registry.shutdown.wait(), UPDATE_SECONDS)
            changed = await self.overview(scope, over)
            over |= _over(changed)
            frames = [_frame("request", request) for request in reversed(changed.requests)]
            if changed.models != models:
                frames.append(_frame("models", models := changed.models))


def request_routes(registry: ModelRegistry) -> Sequence[Route]:
    """Return the routes of the last requests."""
    views = {
        REQUESTS: RequestList(registry),
        f"{REQUESTS}/stream": RequestStream(registry),
        f"{REQUESTS}/{{request}}": RequestDetail(registry),
        f"{REQUESTS}/{{request}}/body": RequestBody(registry),
        f"{REQUESTS}/{{request}}/report": RequestReport(registry),
    }
    return [Route(path, view, methods=["GET"]) for path, view in views.items()]


_PRIVATE: Final = {"cache-control": "no-store"}


def _check_page(headers: Headers) -> None:
    """Raise `ForeignHost` for a request of a page of another origin, even if that may use the API."""
    origin, host = headers.get("origin"), headers.get("host", "")
    foreign = origin is not None and origin.partition("://")[2] != host
    if foreign or headers.get("sec-fetch-site", "none") not in _OWN_PAGE:
        raise ForeignHost("only the page of this server may look at its requests")


def _over(overview: Overview) -> set[str]:
    return {request.entry.request_id for request in overview.requests if request.phase is Phase.OVER}


def _frame(event: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), _encode(data))


async def _send_bytes(send: Send, content: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Send JSON in chunks, so that a large one does not stop other requests."""
    fields = {"content-type": "application/json", "content-length": str(len(content)), **_PRIVATE, **(headers or {})}
    await send(response_start(200, fields))
    for start in range(0, len(content), _CHUNK):
        await send({"type": "http.response.body", "body": content[start : start + _CHUNK], "more_body": True})
    await send({"type": "http.response.body", "body": b""})
