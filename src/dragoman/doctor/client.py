"""The doctor's side of the conversation: plain HTTP, so that nothing stands between a server's faults and the checks."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp

from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.message import Message, read_message
from dragoman.doctor.stream import EventReader, Stream

T = TypeVar("T")

MESSAGES, COUNT, MODELS = "/v1/messages", "/v1/messages/count_tokens", "/v1/models"
VERSION = "2023-06-01"
PATIENCE = 300.0
"""Seconds that an answer may take."""

_NO_MODEL = "claude-local"
_FAULTS = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ConnectionError, TimeoutError)

Body = Mapping[str, Any]


class Unreachable(Exception):
    """Nobody answers at that address: one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def value(self) -> Any:
        """The JSON value; raises `CheckFailed` where there is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise CheckFailed(f"the answer ({self.status}) is not JSON: {self.said or 'empty'}") from error

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object; raises `CheckFailed` where there is none."""
        value = self.value
        if not isinstance(value, dict):
            raise CheckFailed(f"the answer is not a JSON object: {self.said}")
        return value

    @property
    def said(self) -> str:
        """What it says, for a reason: the error's message where there is one."""
        try:
            return quoted(str(json.loads(self.body)["error"]["message"]))
        except (ValueError, KeyError, TypeError):
            return quoted(self.body.decode(errors="replace"))

    def expect(self, status: int) -> "Answer":
        """Itself; raises `CheckFailed` where the status is another."""
        if self.status != status:
            raise CheckFailed(f"answered {self.status} instead of {status}: {self.said}")
        return self


class Client:
    """One server, one model. Raises `CheckFailed` wherever a connection breaks or an answer takes too long."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str | None, model: str) -> None:
        self._session = session
        self._base = base  # not the session's own base URL: that would drop a path in it
        self.key = key
        self.model = model
        self.window: int | None = None
        self.nonce = secrets.token_hex(4)  # makes this visit's prompts different from those of the last one
        self._seen: dict[object, object] = {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, key: str | None = None, model: str | None = None) -> AsyncIterator["Client"]:
        """A client of the server at `http://…` or `unix:///path`; its first model unless one is named. Raises `Unreachable`."""
        # A connection for each request: one that is kept may be closed by the server while a request is on its way.
        connector: aiohttp.BaseConnector
        if url.startswith("unix://"):
            connector, base = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0, force_close=True), "http://unix"
        else:
            connector, base = aiohttp.TCPConnector(limit=0, force_close=True), url.rstrip("/")
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
            client = cls(session, base, key, model or _NO_MODEL)
            await client._look_around(url, model)
            yield client

    async def _look_around(self, url: str, model: str | None) -> None:
        """Who is there, and what does it serve? A list that cannot be read is a matter for the checks."""
        try:
            answer = await self.ask("GET", MODELS)
        except CheckFailed as fault:
            raise Unreachable(f"no answer from {url}: {fault}") from fault
        try:
            served = [entry for entry in answer.object["data"] if isinstance(entry["id"], str)]
        except (CheckFailed, KeyError, TypeError):
            return
        mine = next((entry for entry in served if model in (None, entry["id"])), None)
        if mine is not None:
            window = mine.get("max_input_tokens")
            self.model, self.window = mine["id"], window if isinstance(window, int) else None

    def headers(self, **changed: str | None) -> dict[str, str]:
        """The usual headers with these changed, underscores for hyphens; None takes one away."""
        usual = {"anthropic-version": VERSION, "content-type": "application/json", "accept": "application/json"}
        if self.key is not None:
            usual["x-api-key"] = self.key
        named = {name.replace("_", "-"): value for name, value in changed.items()}
        return {name: value for name, value in {**usual, **named}.items() if value is not None}

    def _request(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str | None]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.request(
            method, self._base + path, data=data, headers=self.headers(**headers), allow_redirects=False
        )

    async def ask(self, method: str, path: str, body: Body | bytes | None = None, **headers: str | None) -> Answer:
        """Any request, and its whole answer. No redirect is followed."""
        began = time.monotonic()
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            async with self._request(method, path, data, headers) as response:
                content = await response.read()
        except _FAULTS as error:
            raise CheckFailed(_broken(error)) from error
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, lowered, content, time.monotonic() - began)

    async def post(self, body: Body, path: str = MESSAGES, /, **headers: str | None) -> Answer:
        """A POST, of this model unless the body names another."""
        return await self.ask("POST", path, {"model": self.model, **body}, **headers)

    async def message(self, body: Body, **headers: str | None) -> Message:
        """A message, whole; raises `CheckFailed` where it is refused."""
        return read_message((await self.post(body, **headers)).expect(200).object)

    async def count(self, body: Body) -> int:
        """What `count_tokens` says of a body; raises `CheckFailed` where that is no number."""
        tokens = (await self.post(body, COUNT)).expect(200).object.get("input_tokens")
        if not isinstance(tokens, int):
            raise CheckFailed(f"count_tokens answers no input_tokens but {tokens!r}")
        return tokens

    async def one_model(self, name: str) -> Answer:
        """`GET /v1/models/NAME`, with what a name may hold encoded (TRN-14)."""
        return await self.ask("GET", f"{MODELS}/{quote(name, safe='')}")

    @asynccontextmanager
    async def opened(self, body: Body, **headers: str | None) -> AsyncIterator[AsyncIterator[Stream]]:
        """A stream that one can leave: yields what has come so far, after each arrival."""
        began = time.monotonic()
        data = json.dumps({"model": self.model, **body, "stream": True}).encode()
        try:
            async with self._request("POST", MESSAGES, data, headers) as response:
                yield _arrivals(response, began)
        except _FAULTS as error:
            raise CheckFailed(_broken(error)) from error

    async def stream(self, body: Body, **headers: str | None) -> Stream:
        """A stream, read to its end, however it ends."""
        async with self.opened(body, **headers) as arrivals:
            async for stream in arrivals:
                last = stream
        return last

    async def streamed(self, body: Body, **headers: str | None) -> Stream:
        """Likewise; raises `Skip` where it is none: one check says so, and the others need not repeat it."""
        stream = await self.stream(body, **headers)
        if stream.status != 200 or not stream.events:
            raise Skip(f"there is no stream to judge: answered {stream.status}")
        return stream

    async def once(self, make: Callable[["Client"], Awaitable[T]]) -> T:
        """What `make` gives, made once per visit: several checks judge the same answer."""
        if make not in self._seen:
            self._seen[make] = asyncio.ensure_future(make(self))
        return await self._seen[make]  # type: ignore[misc, no-any-return]


async def _arrivals(response: aiohttp.ClientResponse, began: float) -> AsyncIterator[Stream]:
    reader = EventReader()
    kind = response.headers.get("content-type", "")
    yield Stream(response.status, kind, began, time.monotonic(), (), b"")
    async for data in response.content.iter_any():
        reader.feed(data, time.monotonic())
        yield Stream(response.status, kind, began, time.monotonic(), reader.events, reader.rest)


def _broken(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:.0f} seconds"
    return quoted(f"the connection broke: {error}" if str(error) else f"the connection broke: {type(error).__name__}")
