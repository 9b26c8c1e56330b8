"""A request to an engine on a connection of its own, and its reply as it arrives.

This is where the path of a token begins (the diagram is in `server/answering/stream.py`). So it is a protocol class on the
socket, with the HTTP parser in C that the server also uses: a general HTTP client took as much CPU time per token as all that
follows.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from typing import Final

import httptools
from yarl import URL

from dragoman.engines.paced_wait import PacedWait

CONNECT_SECONDS: Final = 10.0
_FIRST_FINAL_STATUS: Final = 200
"""Responses with a lower status announce another one."""
_FIELDS: Final = {"Content-Type": "application/json", "Connection": "close"}
_MOST_HELD: Final = 64 * 1024
"""Bytes of which no part is held back for the reader."""
_MOST_WAITING: Final = 256 * 1024
"""Bytes that may wait to be read before no more are received."""


class Unreachable(ConnectionError):
    """There is no connection to the engine."""


class ReplyStream(asyncio.Protocol):
    """The reply to one request; iterating it yields its body in pieces, as they arrive.

    `status` is its HTTP status. The methods that begin with `on_` are called by the parser.
    """

    def __init__(self) -> None:
        self.status = 0
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._waiting = 0  # bytes in `_received`
        self._paused = False
        self._framed = False  # its headers say where it ends
        self._ended = False
        self._failure: Exception | None = None
        self._more = PacedWait()

    async def head(self) -> None:
        """Wait for the status. Raises `ConnectionError` where the connection closes before."""
        while not self.status:
            if self._ended:
                raise self._failure or ConnectionResetError("closed without a reply")
            await self._more

    def __aiter__(self) -> "ReplyStream":
        return self

    async def __anext__(self) -> bytes:
        """The bytes that arrived since the last call. Raises `ConnectionError` where the connection ends before the reply."""
        while not self._received:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            await self._more
        data = self._received[0] if len(self._received) == 1 else b"".join(self._received)
        self._received.clear()
        self._waiting = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def close(self) -> None:
        """Close the connection, which cancels the request; a reader gets a `ConnectionError`, from `connection_lost`."""
        if self._transport is not None:
            self._transport.abort()
        self._end(ConnectionAbortedError("closed"))

    def _end(self, failure: Exception | None) -> None:
        if not self._ended:
            self._ended, self._failure = True, failure

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and wake the reader: at most every 20 ms while a long reply flows, at once when it ends."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(ConnectionError(f"not HTTP: {error}"))
            self.close()
        if self._ended or self._waiting > _MOST_HELD:
            self._more.end()
        else:
            self._more.end_soon()
        if self._waiting > _MOST_WAITING and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the reply, which is incomplete if its headers say where it ends."""
        del self._parser  # the two refer to each other
        self._end(exc or (ConnectionResetError("closed before the end of the reply") if self._framed else None))
        self._more.end()

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Take note of the headers that say where the body ends."""
        self._framed = self._framed or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """Take the status."""
        status = self._parser.get_status_code()
        if status >= _FIRST_FINAL_STATUS:
            self.status = status
        else:
            self._framed = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._received.append(body)
        self._waiting += len(body)

    def on_message_complete(self) -> None:
        """End the reply, unless it only announced another one."""
        if self.status:
            self._end(None)

    def write(self, request: bytes) -> None:
        """Send the request."""
        assert self._transport is not None
        self._transport.write(request)


class Address:
    """The address of an engine: `http://host:port`, `https://…` or `unix:///path/of.sock`. It may have a path, for a proxy.

    `fields` are the headers of each request.
    """

    def __init__(self, address: str, fields: Mapping[str, str]) -> None:
        self._path = address.removeprefix("unix://") if address.startswith("unix://") else None
        self._url = URL("http://engine" if self._path is not None else address)
        self._prefix = self._url.raw_path.rstrip("/")
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        user = {} if self._url.user is None else {"Authorization": _basic(self._url.user, self._url.password or "")}
        self._head = _lines({"Host": self._url.host_port_subcomponent or "engine", **user, **_FIELDS, **fields})

    async def send(self, method: str, path: str, body: bytes, fields: Mapping[str, str]) -> ReplyStream:
        """Send a request; the reply has its status. Raises `Unreachable`, or `ConnectionError` where the connection closes."""
        reply = ReplyStream()
        line = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._head}{_lines(fields)}Content-Length: {len(body)}\r\n\r\n"
        try:
            await self._connect(reply)
            reply.write(line.encode("latin-1") + body)
            await reply.head()
        except BaseException:
            reply.close()
            raise
        return reply

    async def _connect(self, reply: ReplyStream) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if self._path is not None:
                    await loop.create_unix_connection(lambda: reply, self._path)
                else:
                    await loop.create_connection(lambda: reply, self._url.host or "", self._url.port or 0, ssl=self._tls)
        except OSError as error:  # also of TLS, and a timeout
            raise Unreachable(str(error)) from error


def _lines(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items())


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
