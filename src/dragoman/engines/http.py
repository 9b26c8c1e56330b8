"""The HTTP client that all adapters of remote engines share.

Every call has a connection of its own, since closing it is the one form of cancellation that all engines understand. Failures
raise one of two errors: `EngineUnavailable` where the request was not accepted and can be retried; `EngineFailed` where it was
accepted, or where the engine refuses it.
"""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import msgspec

from dragoman.engines.reply import MAX_REPLY, UNREADABLE, fault
from dragoman.errors import EngineError, EngineFailed, EngineRefused, EngineUnavailable

T = TypeVar("T")

_CALL_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=10)
_AFFINITY: Final = ("x-session-id", "x-smg-routing-key")
"""Headers by which routers keep a conversation on one server: the first for vLLM's and ordinary load balancers, the second for
SGLang's."""
_STREAM_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
"""Without a total: a request may wait in the engine's queue without a limit."""
_CLOSE_TIMEOUT: Final = 1.0
"""Timeout for pending abort requests on close, in seconds."""


class EngineHttp:
    """A client for the engine at `address`: `http://host:port`, or `unix:///path/of.sock`.

    `kind` is the kind of engine that is expected; `name` is its name in error messages, `lost` the message when the connection
    breaks during a request.
    """

    def __init__(
        self, kind: str, address: str, *, key: str | None = None, name: str | None = None, lost: str | None = None
    ) -> None:
        self._kind = kind
        self.address = address.rstrip("/")
        self.name = name or f"the engine at {self.address}"
        self._key = key
        self._lost = lost or f"{self.name} closed the connection during the request"
        self._session: aiohttp.ClientSession | None = None
        self._closing = False
        self._pending: set[asyncio.Future[aiohttp.ClientResponse]] = set()
        self._streaming: set[aiohttp.ClientResponse] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def call(self, method: str, path: str, answer: type[T], body: bytes | None = None) -> T:
        """Send a request and decode its reply. Raises `EngineFailed`, also for a malformed reply, and `EngineUnavailable`."""
        response = await self._send(method, path, body, _CALL_TIMEOUT)
        try:
            return msgspec.json.decode(await self._read_body(response), type=answer)
        except UNREADABLE as error:
            raise EngineFailed(f"{self.name} is not a {self._kind}: its reply to {path} is malformed ({error})") from error
        except TimeoutError as error:
            raise EngineUnavailable(f"{self.name} does not respond") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineFailed(self._lost) from error
        finally:
            response.close()

    async def ping(self, path: str) -> None:
        """Check that a GET returns status 200, whatever the body. Raises `EngineFailed` and `EngineUnavailable`."""
        (await self._send("GET", path, None, _CALL_TIMEOUT)).close()

    @asynccontextmanager
    async def stream(self, path: str, body: bytes, *, affinity: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """Post a request and yield the bytes of its reply. Leaving the context closes the connection, which cancels it."""
        response = await self._send("POST", path, body, _STREAM_TIMEOUT, affinity)
        self._streaming.add(response)
        try:
            yield response.content.iter_any()
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError: the session was closed meanwhile
            raise self.lost() from error
        finally:
            self._streaming.discard(response)
            response.close()

    def post_later(self, path: str, body: bytes, *, affinity: str | None = None) -> None:
        """Post in a background task and ignore the outcome."""
        task = asyncio.create_task(self._post_later(path, body, affinity))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _post_later(self, path: str, body: bytes, affinity: str | None) -> None:
        with contextlib.suppress(EngineError):
            (await self._send("POST", path, body, _CALL_TIMEOUT, affinity)).close()

    def abort_all(self) -> None:
        """Abort all requests: not yet accepted ones raise `EngineUnavailable`, others `EngineFailed`. New ones may follow."""
        for pending in self._pending:
            pending.cancel()
        for response in tuple(self._streaming):
            response.close()

    def lost(self) -> EngineFailed:
        """The error to raise where a reply ends prematurely."""
        return EngineFailed(self._lost)

    async def close(self) -> None:
        """Close every connection; the engine keeps running. Pending calls raise: the library would leave them waiting."""
        if self._background:
            await asyncio.wait(self._background, timeout=_CLOSE_TIMEOUT)
        self._closing = True
        if self._session is not None:
            closing = asyncio.ensure_future(self._session.close())
            for pending in self._pending:
                pending.cancel()
            for response in tuple(self._streaming):
                response.close()
            await closing

    async def _send(
        self, method: str, path: str, body: bytes | None, limits: aiohttp.ClientTimeout, affinity: str | None = None
    ) -> aiohttp.ClientResponse:
        """The response, if its status is 200; the caller closes it."""
        session = self._session = self._session or self._connect()
        if session.closed:
            raise EngineUnavailable(f"{self.name} is closed")
        data = None if body is None else io.BytesIO(body)
        headers = None if affinity is None else dict.fromkeys(_AFFINITY, affinity)
        pending = asyncio.ensure_future(session.request(method, path, data=data, timeout=limits, headers=headers))
        self._pending.add(pending)
        try:
            response = await pending
        except asyncio.CancelledError:
            pending.add_done_callback(_close_unread)
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise EngineUnavailable(f"{self.name} {'is closed' if self._closing else 'does not respond'}") from None
        except (aiohttp.ClientConnectorError, TimeoutError) as error:
            raise EngineUnavailable(f"{self.name} cannot be reached") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailable(f"{self.name} closed the connection before it answered") from error
        finally:
            self._pending.discard(pending)
        if response.status == HTTPStatus.OK:
            return response
        try:
            reason = await self._read_body(response)
        except (aiohttp.ClientError, OSError) as error:
            raise self.lost() from error
        finally:
            response.close()
        raise self._error(response.status, reason)

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        """The body of a reply. Raises `EngineFailed` where it is larger than `MAX_REPLY`."""
        body = bytearray()
        async for data in response.content.iter_any():
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

    def _connect(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        if self.address.startswith("unix://"):
            unix = aiohttp.UnixConnector(self.address.removeprefix("unix://"), limit=0, force_close=True)
            return aiohttp.ClientSession("http://engine", connector=unix, headers=headers)
        tcp = aiohttp.TCPConnector(limit=0, force_close=True)
        return aiohttp.ClientSession(self.address, connector=tcp, headers=headers)


def _close_unread(pending: "asyncio.Future[aiohttp.ClientResponse]") -> None:
    """Close a response that arrived at the moment when the request was cancelled: the engine would go on otherwise."""
    if not pending.cancelled() and pending.exception() is None:
        pending.result().close()
