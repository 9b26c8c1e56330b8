"""The HTTP client of the checks. It uses plain HTTP, so that no SDK hides a server's defects."""

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

from dragoman.doctor.api import MESSAGES, MESSAGES_API, Api
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.message import Message, read_message
from dragoman.doctor.stream import EventReader, Stream

T = TypeVar("T")

COUNT, MODELS = f"{MESSAGES}/count_tokens", "/v1/models"
TIMEOUT = 300.0
"""Seconds that a whole answer may take."""

_NO_MODEL = "claude-local"
_ERRORS = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, ConnectionError, TimeoutError)

Body = Mapping[str, Any]


class Unreachable(Exception):
    """No server answers at the URL; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def value(self) -> Any:
        """The JSON value of the body; raises `CheckFailed` if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise CheckFailed(f"the answer ({self.status}) is not JSON: {self.excerpt or 'empty'}") from error

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object of the body; raises `CheckFailed` if it is not one."""
        value = self.value
        if not isinstance(value, dict):
            raise CheckFailed(f"the answer is not a JSON object: {self.excerpt}")
        return value

    @property
    def error(self) -> dict[str, Any]:
        """The error in the body, empty if there is none; raises `CheckFailed` if the body is not a JSON object."""
        error = self.object.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def excerpt(self) -> str:
        """The error's message, or the beginning of the body, to quote in a reason."""
        try:
            return quoted(str(json.loads(self.body)["error"]["message"]))
        except (ValueError, KeyError, TypeError):
            return quoted(self.body.decode(errors="replace"))

    def expect(self, status: int) -> "Answer":
        """This answer; raises `CheckFailed` if it has another status."""
        if self.status != status:
            raise CheckFailed(f"answered {self.status} instead of {status}: {self.excerpt}")
        return self


class Client:
    """A client of one server and one model. Raises `CheckFailed` if a connection breaks or an answer takes too long."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str | None, model: str, api: Api) -> None:
        self._session = session
        self._base = base  # not aiohttp's base URL, which would drop its path
        self.key = key
        self.model = model
        self.api = api
        self.window: int | None = None
        self._capabilities: Mapping[str, Any] = {}
        self.nonce = secrets.token_hex(4)  # makes this run's prompts different from those of the last run
        self._made: dict[object, object] = {}

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, key: str | None = None, model: str | None = None, api: Api = MESSAGES_API
    ) -> AsyncIterator["Client"]:
        """Connect to the server at `http://…` or `unix:///path`; use its first model unless one is named.

        Raises `Unreachable`.
        """
        # One connection per request: the server may close a kept connection while a request is being sent.
        connector: aiohttp.BaseConnector
        if url.startswith("unix://"):
            connector, base = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0, force_close=True), "http://unix"
        else:
            connector, base = aiohttp.TCPConnector(limit=0, force_close=True), url.rstrip("/")
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
            client = cls(session, base, key, model or _NO_MODEL, api)
            await client._read_models(url, model)
            yield client

    async def _read_models(self, url: str, model: str | None) -> None:
        """Read the model and its context window from `/v1/models`. The checks report a list that cannot be read."""
        try:
            answer = await self.ask("GET", MODELS)
        except CheckFailed as failure:
            raise Unreachable(f"no answer from {url}: {failure}") from failure
        try:
            served = [entry for entry in answer.object["data"] if isinstance(entry["id"], str)]
        except (CheckFailed, KeyError, TypeError):
            return
        chosen = next((entry for entry in served if model in (None, entry["id"])), None)
        if chosen is not None:
            window = chosen.get("max_input_tokens")
            self.model, self.window = chosen["id"], window if isinstance(window, int) else None
            capabilities = chosen.get("capabilities")
            self._capabilities = capabilities if isinstance(capabilities, dict) else {}

    def claims(self, capability: str) -> bool:
        """Whether the model has a capability by `/v1/models`."""
        claimed = self._capabilities.get(capability)
        return isinstance(claimed, dict) and claimed.get("supported") is True

    def headers(self, **changed: str | None) -> dict[str, str]:
        """The usual headers with these changes, with underscores for hyphens; None removes a header."""
        usual = {**self.api.headers, "content-type": "application/json", "accept": "application/json"}
        if self.key is not None:
            usual |= self.api.key_header(self.key)
        named = {name.replace("_", "-"): value for name, value in changed.items()}
        return {name: value for name, value in {**usual, **named}.items() if value is not None}

    def _request(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str | None]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._session.request(
            method, self._base + path, data=data, headers=self.headers(**headers), allow_redirects=False
        )

    async def ask(self, method: str, path: str, body: Body | bytes | None = None, **headers: str | None) -> Answer:
        """Send any request and read the whole answer. Redirects are not followed."""
        began = time.monotonic()
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            async with self._request(method, path, data, headers) as response:
                content = await response.read()
        except _ERRORS as error:
            raise CheckFailed(_broken(error)) from error
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, lowered, content, time.monotonic() - began)

    async def post(self, body: Body, path: str | None = None, /, **headers: str | None) -> Answer:
        """Send a POST request with this model, unless the body names another; without a path, to that of the API."""
        return await self.ask("POST", path or self.api.path, {"model": self.model, **body}, **headers)

    async def message(self, body: Body, **headers: str | None) -> Message:
        """The unstreamed message; raises `CheckFailed` if the request is refused."""
        return read_message((await self.post(body, **headers)).expect(200).object)

    async def count(self, body: Body) -> int:
        """The result of `count_tokens` for a body; raises `CheckFailed` if it is not a number."""
        tokens = (await self.post(body, COUNT)).expect(200).object.get("input_tokens")
        if not isinstance(tokens, int):
            raise CheckFailed(f"count_tokens answers input_tokens {tokens!r}")
        return tokens

    async def one_model(self, name: str) -> Answer:
        """Send `GET /v1/models/NAME`, with the name percent-encoded (TRN-14)."""
        return await self.ask("GET", f"{MODELS}/{quote(name, safe='')}")

    @asynccontextmanager
    async def opened(
        self, body: Body, path: str | None = None, /, **headers: str | None
    ) -> AsyncIterator[AsyncIterator[Stream]]:
        """A stream that can be abandoned: yields what has been received so far, after each arrival."""
        began = time.monotonic()
        data = json.dumps({"model": self.model, **body, "stream": True}).encode()
        try:
            async with self._request("POST", path or self.api.path, data, headers) as response:
                yield _arrivals(response, began)
        except _ERRORS as error:
            raise CheckFailed(_broken(error)) from error

    async def stream(self, body: Body, path: str | None = None, /, **headers: str | None) -> Stream:
        """A stream, read to its end, whatever its status."""
        async with self.opened(body, path, **headers) as arrivals:
            async for stream in arrivals:
                last = stream
        return last

    async def streamed(self, body: Body, path: str | None = None, /, **headers: str | None) -> Stream:
        """A stream, read to its end; raises `Skip` if the answer is not a stream, which another check reports."""
        stream = await self.stream(body, path, **headers)
        if stream.status != 200 or not stream.events:
            raise Skip(f"there is no stream to judge: answered {stream.status}")
        return stream

    async def once(self, make: Callable[["Client"], Awaitable[T]]) -> T:
        """The result of `make`, which runs once per client: several checks judge the same answer."""
        if make not in self._made:
            self._made[make] = asyncio.ensure_future(make(self))
        return await self._made[make]  # type: ignore[misc, no-any-return]


async def _arrivals(response: aiohttp.ClientResponse, began: float) -> AsyncIterator[Stream]:
    reader = EventReader()
    kind = response.headers.get("content-type", "")
    yield Stream(response.status, kind, began, time.monotonic(), (), b"")
    async for data in response.content.iter_any():
        reader.feed(data, time.monotonic())
        yield Stream(response.status, kind, began, time.monotonic(), reader.events, reader.rest)


def _broken(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} seconds"
    return quoted(f"the connection broke: {error}" if str(error) else f"the connection broke: {type(error).__name__}")
