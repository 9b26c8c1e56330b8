"""A client's connection: uvicorn's HTTP/1.1 protocol, with limits on a request while it arrives.

In addition to uvicorn's protocol:

- A request that offers an upgrade (h2c, websocket) is answered as the HTTP/1.1 request that it also is (RFC 9110, 7.8).
- The `Date` of a response is taken when its request arrives, and not by a timer, so that a server at rest does nothing.
- The head of a request (request line and headers) has a size limit and a time limit; a body has a minimum rate.
- When the server stops, a request that is still arriving is refused immediately.
- A client that shuts down its sending side after a request gets its response. A closed connection looks the same
  until something is sent: so a probe that clients ignore is sent, and if that fails the client has disconnected (TRN-18).
- A process that is one of several says in shared memory where it is with the connection (`killed_worker`).
"""

import asyncio
from collections.abc import Awaitable
from email.utils import formatdate
from functools import partial
from typing import Any, Final

import httptools
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dragoman.errors import DragomanError, HeadTooLarge, InvalidRequest, RequestTimedOut, ShuttingDown
from dragoman.server.transport import pace
from dragoman.server.transport.disconnect import SHUTDOWN
from dragoman.server.transport.killed_worker import WatchedConnection
from dragoman.server.transport.respond import refusal

HEAD_BYTES: Final = 64 * 1024
"""Bytes of a request line and its headers, or between two chunks of a body."""
HEAD_SECONDS: Final = 20.0
"""Time limit of a head, from its first byte."""
LINGER_SECONDS: Final = 1.0
"""Time in which a client may keep sending after its request was refused."""
PROBE_DELAYS: Final = (0.2, 0.1, 0.5, 2.0, 5.0)
"""Seconds from the end of a client's input to the first probe, and between probes; the last one repeats."""

_FIELD_MARKS: Final = len(b": \r\n")
_UPGRADE_FIELDS: Final = frozenset({b"upgrade", b"http2-settings"})


class Connection(HttpToolsProtocol):
    """One client connection. The limits are read from the module at each use."""

    def __init__(self, *args: Any, watched: WatchedConnection | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched = watched
        self._arriving = False  # a request has begun and is not complete
        self._has_head = False
        self._upgrading = False
        self._refused = False
        self._answered: RequestResponseCycle | None = None  # the request whose response is being sent, or was the last
        self._sends_events = False  # that response is an event stream
        self._unread = 0  # bytes since the parser last produced something
        self._pace = pace.Pace()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the keep-alive timer, and wait for a request."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        self._set_timer(None)
        if self._watched is not None:
            self._watched.close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and check that the request makes progress."""
        self._unset_keepalive_if_required()
        if self._watched is not None:
            self._watched.read()
        if self._refused:
            return
        if not self._arriving:
            self._arriving = True
            self._set_timer(HEAD_SECONDS)
        self._unread += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(InvalidRequest("the request is not valid HTTP"))
            return
        except HeadTooLarge as error:
            self._refuse(error)
            return
        if self._unread > HEAD_BYTES:
            self._refuse(_head_too_large())

    def _feed(self, data: bytes) -> None:
        """Feed the parser, in time linear in the data. Raises `HttpParserError`, `HeadTooLarge`."""
        rest = memoryview(data)
        while (read := self._feed_up_to_upgrade(rest)) is not None:
            rest = rest[read:]
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("not a proxy")
            self._feed_up_to_upgrade(self._restart_without_upgrade())

    def _feed_up_to_upgrade(self, data: bytes | memoryview) -> int | None:
        """Return the bytes up to the end of a head that offers an upgrade, where the parser stops; None if it read all."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return int(upgrade.args[0])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, HeadTooLarge):
                raise error.__context__ from None
            raise
        return None

    def _restart_without_upgrade(self) -> bytes:
        """Create a new parser, and return the head of the current request without its upgrade offer."""
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = b"".join(b"%b: %b\r\n" % field for field in _without_upgrade(self.headers))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
        self._upgrading = False
        return line + fields + b"\r\n"

    def on_headers_complete(self) -> None:
        """Start the time limit of the body, once the head is complete. Raises `HeadTooLarge`."""
        self._upgrading = self.parser.should_upgrade()
        if self._upgrading:  # the parser stops here; a new one reads the head without the offer
            return
        if len(self.url) + sum(len(name) + len(value) + _FIELD_MARKS for name, value in self.headers) > HEAD_BYTES:
            raise _head_too_large()
        self._has_head = True
        self._unread = 0
        self._pace = pace.Pace()
        self._set_timer(pace.BODY_SECONDS)
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Record the progress of the body."""
        self._unread = 0
        self._pace.add(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the timer, once the request is complete."""
        if self._upgrading:
            return
        self._arriving = self._has_head = False
        self._unread = 0
        self._set_timer(None)
        super().on_message_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection open for a pending response after the client's last byte. Not possible with TLS."""
        if self._refused or self._arriving or self.cycle is None or self.cycle.response_complete or self.scheme == "https":
            return None
        self.cycle.keep_alive = False
        self._send_probes(PROBE_DELAYS)
        return True

    def shutdown(self) -> None:
        """Refuse an incomplete request when the server stops, and end streams that have no end of their own."""
        if shutdown := self.app_state.get(SHUTDOWN):
            shutdown.set()
        if self._arriving:
            self._refuse(ShuttingDown("the server is shutting down"))
        else:
            super().shutdown()

    def _send_probes(self, delays: tuple[float, ...]) -> None:
        def send() -> None:
            if self.transport.is_closing() or self.cycle.response_complete:
                return
            current = self._answered
            if current is not None and not current.response_started and current.scope["http_version"] == "1.1":
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif current is not None and current.chunked_encoding and self._sends_events:
                self.transport.write(b"3\r\n:\n\n\r\n")  # a comment
            self._send_probes(delays[1:] or delays)

        self.loop.call_later(delays[0], send)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._check_progress)

    def _check_progress(self) -> None:
        if self._has_head and self._pace.end_interval(paused=self.flow.read_paused):
            self._set_timer(pace.BODY_SECONDS)
        else:
            part = "body" if self._has_head else "head"
            self._refuse(RequestTimedOut(f"the {part} of the request did not arrive in time"))

    def _refuse(self, error: DragomanError) -> None:
        """Refuse an incomplete request and close the connection, after the responses of earlier requests."""
        self._set_timer(None)
        if self._watched is not None:
            self._watched.silence()
        begun = self.cycle if self._has_head else None
        if begun is not None and self.pipeline and self.pipeline[0][0] is begun:
            self.pipeline.popleft()
            self._close_after(self.pipeline[0][0] if self.pipeline else self._answered)
            return
        if begun is None and self.cycle is not None and not self.cycle.response_complete:
            self._close_after(self.cycle)
            return
        if begun is None or not (begun.response_started or begun.response_complete):
            self._write_refusal(error)
        if begun is not None and not begun.response_complete:
            begun.response_started = begun.disconnected = True
            begun.message_event.set()
        self._linger()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered, self._sends_events = cycle, False
        if self._watched is not None:
            self._watched.answer(cycle)
        super()._start_asgi_task(cycle, partial(self._run_noting_events, app))

    async def _run_noting_events(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and note whether the response is an event stream."""

        def noting(message: Message) -> Awaitable[None]:  # no coroutine: this runs for every token
            if message["type"] == "http.response.start":
                self._sends_events = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            return send(message)

        await app(scope, receive, noting)

    def on_response_complete(self) -> None:
        """Continue with the next request."""
        if self._watched is not None and not self._arriving and not self.transport.get_write_buffer_size():
            self._watched.complete()
        super().on_response_complete()

    def _close_after(self, cycle: RequestResponseCycle | None) -> None:
        """Read no more requests, and close the connection after this response."""
        self._refused = True
        if cycle is not None:
            cycle.keep_alive = False

    def _write_refusal(self, error: DragomanError) -> None:
        """Write an error in the API format of the path, with CORS headers, as far as the head has arrived."""
        path = bytes(getattr(self, "url", b"")).decode("latin-1").partition("?")[0]
        self.transport.write(refusal(path, error, self.headers or (), self.app_state))

    def _linger(self) -> None:
        """Discard input for a moment, then close: closing at once could lose the response (RFC 9112, 9.6)."""
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"the head of a request may have at most {HEAD_BYTES} bytes")


def _without_upgrade(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request without its offer to upgrade the protocol."""
    kept = []
    for name, value in headers:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option.lower() not in _UPGRADE_FIELDS)  # noqa: PLW2901
            if not value:
                continue
        if name not in _UPGRADE_FIELDS:
            kept.append((name, value))
    return kept
