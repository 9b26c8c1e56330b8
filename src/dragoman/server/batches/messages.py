"""`/v1/messages/batches`: makes batches, lists, describes, cancels and deletes them, and sends their results."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dragoman.api.anthropic.batches import (
    BatchPage,
    Canceled,
    DeletedBatch,
    Expired,
    MessageBatch,
    RequestCounts,
    ResultLine,
    split,
)
from dragoman.api.anthropic.times import rfc3339
from dragoman.errors import InvalidRequest
from dragoman.server.access.auth import owner_of
from dragoman.server.batches.intake import body_of, taken_in
from dragoman.server.batches.runner import BatchRunner
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.transport.paging import ends_of, page_of
from dragoman.server.transport.respond import json_response
from dragoman.server.transport.versions import VERSION_HEADER, version_of
from dragoman.storage.batches.rows import MESSAGES, Result, State, StoredBatch, new_batch
from dragoman.storage.batches.store import BatchStore

_PATH: Final = f"{MESSAGES}/batches"
_KEPT_HEADERS: Final = (VERSION_HEADER, "anthropic-beta")
_encode = msgspec.json.Encoder().encode


class MessageBatches:
    """The handlers of the paths of batches (BAT-1)."""

    def __init__(self, store: BatchStore, runner: BatchRunner, models: ModelRegistry) -> None:
        self._store = store
        self._runner = runner
        self._models = models

    @property
    def routes(self) -> Sequence[Route]:
        """The routes."""
        return [
            Route(_PATH, self.create, methods=["POST"]),
            Route(_PATH, self.list, methods=["GET"]),
            Route(f"{_PATH}/{{batch}}", self.retrieve, methods=["GET"]),
            Route(f"{_PATH}/{{batch}}", self.delete, methods=["DELETE"]),
            Route(f"{_PATH}/{{batch}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{_PATH}/{{batch}}/results", self.results, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Keep a batch, whose requests are validated when they run (BAT-3). Raises `InvalidRequest`, `RequestTooLarge`."""
        version_of(request.headers)
        kept = {name: ",".join(values) for name in _KEPT_HEADERS if (values := request.headers.getlist(name))}
        async with taken_in(body_of(request), split, self._models) as requests:
            batch = await self._store.add(new_batch(owner_of(request), MESSAGES, _encode({"headers": kept})), requests)
        self._runner.wake()
        return json_response(described(batch))

    async def list(self, request: Request) -> Response:
        """Answer with a page of the batches, the newest first. Raises `InvalidRequest`."""
        batches, more = await self._store.page(owner_of(request), page_of(request.query_params), messages=True)
        first, last = ends_of(batches)
        return json_response(BatchPage([described(batch) for batch in batches], more, first, last))

    async def retrieve(self, request: Request) -> Response:
        """Answer with the state of a batch. Raises `UnknownObject`."""
        return json_response(described(await self._find(request)))

    async def cancel(self, request: Request) -> Response:
        """Begin no more requests of a batch. Raises `UnknownObject`."""
        batch = await self._store.cancel((await self._find(request)).id, owner_of(request))
        self._runner.wake()
        return json_response(described(batch))

    async def delete(self, request: Request) -> Response:
        """Remove a batch that has ended (BAT-7). Raises `UnknownObject`, `InvalidRequest`."""
        identifier = (await self._find(request)).id
        await self._store.delete(identifier, owner_of(request))
        return json_response(DeletedBatch(identifier))

    async def results(self, request: Request) -> Response:
        """Send the results of a batch, a line for each (BAT-5). Raises `UnknownObject`, `InvalidRequest`."""
        batch = await self._find(request)
        if batch.ended is None or batch.archived is not None:
            reason = "has no results yet: it has not ended" if batch.ended is None else "has no results any more"
            raise InvalidRequest(f"the batch {batch.id} {reason}")
        return StreamingResponse(self._lines(batch), media_type="application/x-jsonl")

    async def _lines(self, batch: StoredBatch) -> AsyncIterator[bytes]:
        async for results in self._store.all_results(batch):
            yield b"".join(map(_line, results))

    async def _find(self, request: Request) -> StoredBatch:
        identifier = str(request.path_params["batch"])
        batch = await self._store.find(identifier, owner_of(request))
        if batch.endpoint != MESSAGES:
            raise InvalidRequest(f"{batch.id} is not a batch of messages: it was made through /v1/batches")
        return batch


def described(batch: StoredBatch) -> MessageBatch:
    """Return the description of a batch. The address of its results is relative, so that it works from every client (BAT-6)."""
    status = "ended" if batch.ended is not None else "in_progress" if batch.cancelled is None else "canceling"
    counts = RequestCounts(0, batch.succeeded, batch.errored, batch.canceled, batch.expired)
    has_results = batch.ended is not None and batch.archived is None
    return MessageBatch(
        batch.id,
        status,
        counts if batch.ended is not None else RequestCounts(batch.total),
        rfc3339(batch.created),
        rfc3339(batch.expires),
        _time(batch.ended),
        _time(batch.cancelled),
        _time(batch.archived),
        f"{_PATH}/{batch.id}/results" if has_results else None,
    )


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def _line(result: Result) -> bytes:
    unanswered = {State.CANCELED: Canceled(), State.EXPIRED: Expired()}
    content = result.result if result.result is not None else _encode(unanswered[result.state])
    return _encode(ResultLine(result.custom_id, Raw(content))) + b"\n"
