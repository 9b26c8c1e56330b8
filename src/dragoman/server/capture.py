"""Listening to a request and its answer, for `--capture`: nothing waits for it, nothing is changed by it."""

import asyncio
import logging
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from dragoman.observability.captured import CapturedExchange, CapturedRequest, CapturedResponse
from dragoman.observability.kept import kept_body, kept_headers, kept_target

_LOG = logging.getLogger(__name__)
_FULL = 64 * 1024 * 1024
"""Bytes that a packed body may grow to: twice what is taken from a client."""


class CaptureMiddleware:
    """Stands between one request and the socket. `age` is the request's clock."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, age: Callable[[], float]) -> None:
        self._began = datetime.now(UTC)
        self._scope = scope
        self._receive = receive
        self._send = send
        self._age = age
        self._heard = bytearray()
        self._heard_all = False
        self._status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._said: list[tuple[float, bytes]] = []
        self._said_all = False

    async def receive(self) -> Message:
        """In the place of the server's own."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._heard += message.get("body", b"")
            self._heard_all = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """In the place of the server's own."""
        if message["type"] == "http.response.start":
            self._status, self._fields = message["status"], list(message["headers"])
        else:
            self._said.append((round(self._age(), 6), message.get("body", b"")))
            self._said_all = not message.get("more_body", False)
        await self._send(message)

    async def keep(self, folder: Path, request_id: str, *, left: bool) -> None:
        """Write the file, beside the event loop. A disk that is full is a line in the log, and no matter of the client's."""
        try:
            await asyncio.to_thread(lambda: self._exchange(request_id, left=left).write(folder))
        except OSError as error:
            _LOG.warning("%s was not captured: %s", request_id, error)

    def _exchange(self, request_id: str, *, left: bool) -> CapturedExchange:
        headers = Headers(scope=self._scope)
        kept, removed = kept_headers(headers.items())
        body, charset, whole = self._body(headers)
        body, fields = kept_body(body)
        target = kept_target(self._scope["path"], self._scope["query_string"].decode("latin-1"))
        return CapturedExchange(
            request_id=request_id,
            began=self._began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            request=CapturedRequest(self._scope["method"], target, kept, body, charset, whole),
            response=CapturedResponse(
                self._status,
                {name.decode("latin-1"): value.decode("latin-1") for name, value in self._fields},
                tuple((age, data.decode(errors="replace")) for age, data in self._said if data),
                whole=self._said_all and not left,
            ),
            removed=(*removed, *fields),
        )

    def _body(self, headers: Headers) -> tuple[str, str, bool]:
        """The body's text, its charset, and whether it is all there. Packed ones are unpacked: secrets could hide in them."""
        data, whole = bytes(self._heard), self._heard_all
        if not self._heard and not {"content-length", "transfer-encoding"} & set(headers):
            whole = True
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            inflater = zlib.decompressobj(wbits=31)
            try:
                data = inflater.decompress(data, _FULL)
            except zlib.error:
                data = b""
            whole = whole and inflater.eof
            data = data if whole else b""
        try:
            return data.decode(), "utf-8", whole
        except UnicodeDecodeError:
            return data.decode("latin-1"), "latin-1", whole  # takes any byte, and gives it back
