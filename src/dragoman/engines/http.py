"""The HTTP client that all adapters of remote engines share.

Every call has a connection of its own, since closing it is the one form of cancellation that all engines understand. Failures
raise one of two errors: `EngineUnavailable` where the request was not accepted and can be retried; `EngineFailed` where it was
accepted, or where the engine refuses it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from dragoman.engines.base import NO_ROUTING, Routing
from dragoman.engines.reply import MAX_REPLY, UNREADABLE, fault
from dragoman.engines.reply_stream import Address, ReplyStream, Unreachable
from dragoman.errors import EngineError, EngineFailed, EngineRefused, EngineUnavailable

T = TypeVar("T")

_CALL_SECONDS: Final = 60.0
"""Time limit of a call. A stream has none: a request may wait in the engine's queue for any time."""
_AFFINITY: Final = ("x-session-id", "x-smg-routing-key")
"""Headers by which routers keep a conversation on one server: the first for vLLM's and ordinary load balancers, the second for
SGLang's."""
_CLOSE_TIMEOUT: Final = 1.0
"""Timeout for pending abort requests on close, in seconds."""


class EngineHttp:
    """A client for the engine at `address`: `http://host:port`, `https://…` or `unix:///path/of.sock`.

    `kind` is the kind of engine that is expected; `name` is its name in error messages, `lost` the message when the connection
    breaks during a request.
    """

    def __init__(
        self, kind: str, address: str, *, key: str | None = None, name: str | None = None, lost: str | None = None
    ) -> None:
        self._kind = kind
        self.address = address.rstrip("/")
        self.name = name or f"the engine at {self.address}"
        self._lost = lost or f"{self.name} closed the connection during the request"
        self._address = Address(self.address, {"Authorization": f"Bearer {key}"} if key is not None else {})
        self._closing = False
        self._pending: set[asyncio.Future[ReplyStream]] = set()
        self._replies: set[ReplyStream] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def call(self, method: str, path: str, answer: type[T], body: bytes = b"") -> T:
        """Send a request and decode its reply. Raises `EngineFailed`, also for a malformed reply, and `EngineUnavailable`."""
        reply = await self._call(method, path, body)
        try:
            return msgspec.json.decode(reply, type=answer)
        except UNREADABLE as error:
            raise EngineFailed(f"{self.name} is not a {self._kind}: its reply to {path} is malformed ({error})") from error

    async def ping(self, path: str) -> None:
        """Check that a GET returns status 200, whatever the body. Raises `EngineFailed` and `EngineUnavailable`."""
        await self._call("GET", path)

    async def _call(self, method: str, path: str, body: bytes = b"", routing: Routing = NO_ROUTING) -> bytes:
        """Send a request, and return the body of its reply within `_CALL_SECONDS`."""
        try:
            async with asyncio.timeout(_CALL_SECONDS), self._sent(method, path, body, routing) as reply:
                return await self._read_body(reply)
        except TimeoutError as error:
            raise EngineUnavailable(f"{self.name} does not respond") from error

    @asynccontextmanager
    async def stream(self, path: str, body: bytes, *, routing: Routing = NO_ROUTING) -> AsyncIterator[AsyncIterator[bytes]]:
        """Post a request and yield the bytes of its reply. Leaving the context closes the connection, which cancels it."""
        async with self._sent("POST", path, body, routing) as reply:
            yield reply

    @asynccontextmanager
    async def _sent(self, method: str, path: str, body: bytes, routing: Routing) -> AsyncIterator[ReplyStream]:
        """Send a request, and yield its reply if the status is 200."""
        reply = await self._begun(method, path, body, routing)
        self._replies.add(reply)
        try:
            if reply.status != HTTPStatus.OK:
                raise self._error(reply.status, await self._read_body(reply))
            yield reply
        except OSError as error:
            raise self.lost() from error
        finally:
            self._replies.discard(reply)
            reply.close()

    def post_later(self, path: str, body: bytes, *, routing: Routing = NO_ROUTING) -> None:
        """Post in a background task and ignore the outcome."""
        task = asyncio.create_task(self._post_later(path, body, routing))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _post_later(self, path: str, body: bytes, routing: Routing) -> None:
        with contextlib.suppress(EngineError):
            await self._call("POST", path, body, routing)

    def abort_all(self) -> None:
        """Abort all requests: not yet accepted ones raise `EngineUnavailable`, others `EngineFailed`. New ones may follow."""
        for pending in self._pending:
            pending.cancel()
        for reply in tuple(self._replies):
            reply.close()

    def lost(self) -> EngineFailed:
        """The error to raise where a reply ends prematurely."""
        return EngineFailed(self._lost)

    async def close(self) -> None:
        """Close every connection; the engine keeps running. Pending calls raise."""
        if self._background:
            await asyncio.wait(self._background, timeout=_CLOSE_TIMEOUT)
        self._closing = True
        self.abort_all()

    async def _begun(self, method: str, path: str, body: bytes, routing: Routing) -> ReplyStream:
        """Send a request until its reply begins, in a task that `abort_all` can end. Raises `EngineUnavailable`."""
        if self._closing:
            raise EngineUnavailable(f"{self.name} is closed")
        affinity = {} if routing.affinity is None else dict.fromkeys(_AFFINITY, routing.affinity)
        pending = asyncio.ensure_future(self._address.send(method, path, body, {**affinity, **routing.trace}))
        self._pending.add(pending)
        try:
            return await pending
        except asyncio.CancelledError:
            pending.add_done_callback(_close_unread)
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise EngineUnavailable(f"{self.name} {'is closed' if self._closing else 'does not respond'}") from None
        except Unreachable as error:
            raise EngineUnavailable(f"{self.name} cannot be reached") from error
        except OSError as error:
            raise EngineUnavailable(f"{self.name} closed the connection before it answered") from error
        finally:
            self._pending.discard(pending)

    async def _read_body(self, pieces: AsyncIterator[bytes]) -> bytes:
        """The body of a reply. Raises `EngineFailed` where it is larger than `MAX_REPLY`."""
        body = bytearray()
        async for data in pieces:
            body += data
            if len(body) > MAX_REPLY:
                raise EngineFailed(f"{self.name} broke its protocol: its reply is too large")
        return bytes(body)

    def _error(self, status: int, body: bytes) -> EngineError:
        match status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                return EngineFailed(f"{self.name} refused the key")
            case HTTPStatus.SERVICE_UNAVAILABLE:
                return EngineUnavailable(f"{self.name} is not ready: {fault(body)}")
            case HTTPStatus.BAD_REQUEST:
                return EngineRefused(f"{self.name} refused with status {status}: {fault(body)}")
            case _:
                return EngineFailed(f"{self.name} refused with status {status}: {fault(body)}")


def _close_unread(pending: "asyncio.Future[ReplyStream]") -> None:
    """Close a response that arrived at the moment when the request was cancelled: the engine would go on otherwise."""
    if not pending.cancelled() and pending.exception() is None:
        pending.result().close()
