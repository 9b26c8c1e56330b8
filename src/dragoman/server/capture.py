"""Records a request and its response, for `--capture`, without delaying or changing either."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from dragoman.errors import InvalidRequest
from dragoman.observability.capture_folder import CaptureFolder
from dragoman.observability.captured import CapturedExchange, CapturedRequest, CapturedResponse, iso_time
from dragoman.observability.kept import kept_body, kept_headers, kept_target
from dragoman.server.transport.encoding import GzipDecoder

_LOG = logging.getLogger(__name__)
_FULL = 64 * 1024 * 1024
"""The most bytes that a compressed body is decompressed to: twice what is accepted from a client."""


class CaptureMiddleware:
    """Records the ASGI messages of one request. `age` returns the seconds since the request arrived."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, age: Callable[[], float]) -> None:
        self._began = datetime.now(UTC)
        self._scope = scope
        self._receive = receive
        self._send = send
        self._age = age
        self._received = bytearray()
        self._received_all = False
        self._status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._sent: list[tuple[float, bytes]] = []
        self._sent_all = False

    async def receive(self) -> Message:
        """Receive a message from the server, and record its body."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += message.get("body", b"")
            self._received_all = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Record a message and send it to the server."""
        if message["type"] == "http.response.start":
            self._status, self._fields = message["status"], list(message["headers"])
        else:
            self._sent.append((round(self._age(), 6), message.get("body", b"")))
            self._sent_all = not message.get("more_body", False)
        await self._send(message)

    async def keep(self, folder: CaptureFolder, request_id: str, *, left: bool) -> None:
        """Write the file in a thread. A failure, such as a full disk, is logged and does not reach the client."""
        try:
            await asyncio.to_thread(lambda: folder.keep(self._exchange(request_id, left=left)))
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
            began=iso_time(self._began),
            request=CapturedRequest(self._scope["method"], target, kept, body, charset, whole),
            response=CapturedResponse(
                self._status,
                {name.decode("latin-1"): value.decode("latin-1") for name, value in self._fields},
                tuple((age, data.decode(errors="replace")) for age, data in self._sent if data),
                whole=self._sent_all and not left,
            ),
            removed=(*removed, *fields),
        )

    def _body(self, headers: Headers) -> tuple[str, str, bool]:
        """Return the body's text, decompressed because secrets could hide in it, its charset, and whether it is complete."""
        data, whole = bytes(self._received), self._received_all
        if not self._received and not {"content-length", "transfer-encoding"} & set(headers):
            whole = True
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            data, whole = _decompressed(data) if whole else (b"", False)
        try:
            return data.decode(), "utf-8", whole
        except UnicodeDecodeError:
            return data.decode("latin-1"), "latin-1", whole  # maps every byte, and back


def _decompressed(data: bytes) -> tuple[bytes, bool]:
    """Return the content of a body, and whether it is complete; nothing of one that is not."""
    decoder, content = GzipDecoder(), bytearray()
    try:
        for piece in decoder.decode(data):
            content += piece
            if len(content) > _FULL:
                return b"", False
        decoder.end()
    except InvalidRequest:
        return b"", False
    return bytes(content), True
