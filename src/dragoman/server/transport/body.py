"""Reads a request's body: content type, size, encoding (TRN-12, TRN-13), and a memory limit for all bodies together."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import BytesIO

from starlette.requests import ClientDisconnect, Request

from dragoman.errors import Overloaded, RequestTooLarge
from dragoman.server.transport.disconnect import ClientGone
from dragoman.server.transport.encoding import PIECE, charset_of, decoder_of

MAX_BODY = 32 * 1024 * 1024
ALL_BODIES = 4 * MAX_BODY
"""Bytes that all bodies may take together while they are received and processed."""
SMALL_BODY = 256 * 1024
"""Bytes of each body that are not counted, so that small bodies are accepted while large ones fill the memory."""
_LONGEST_LENGTH = 20
"""The most digits of a `content-length` that are parsed."""


class BodyMemory:
    """Counts the bytes of all bodies of this process. `limit` is in bytes."""

    def __init__(self, limit: int = ALL_BODIES) -> None:
        self._limit = limit
        self._taken = 0

    @contextmanager
    def share(self) -> "Iterator[Share]":
        """Yield the share of one body, which is released at the end of the context."""
        share = Share(self)
        try:
            yield share
        finally:
            self._taken -= share.bytes

    def take(self, size: int) -> None:
        """Take `size` bytes more. Raises `Overloaded` if they are not available."""
        if self._taken + size > self._limit:
            raise Overloaded("the server is busy: the bodies of other requests fill its memory")
        self._taken += size


class Share:
    """The memory that one body has taken, in bytes beyond `SMALL_BODY`."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.bytes = 0

    def grow(self, size: int) -> None:
        """Take memory for a body of `size` bytes. Raises `Overloaded`."""
        more = size - SMALL_BODY - self.bytes
        if more > 0:
            self._memory.take(more)
            self.bytes += more


async def read_json_body(request: Request, share: Share) -> bytes:
    """Return the body as UTF-8 JSON text. Raises `InvalidRequest`, `RequestTooLarge`, `Overloaded`, `ClientGone`.

    Its declared length is taken first, so that a body without memory for it is refused unread. The chunks are not joined at the
    end: for a large body, that takes tens of milliseconds.
    """
    charset_of(request.headers)
    share.grow(declared_length(request, MAX_BODY))
    body = BytesIO()
    async for chunk in json_chunks(request, MAX_BODY):
        body.write(chunk)
        share.grow(body.tell())
    return body.getvalue()


async def json_chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield the body as UTF-8 JSON text, at most `most` bytes, in chunks; other tasks run between large ones.

    Raises `InvalidRequest`, `RequestTooLarge`, `ClientGone`.
    """
    charset, decoder = charset_of(request.headers), decoder_of(request.headers)
    declared_length(request, most)
    received = decoded = 0
    try:
        async for data in request.stream():
            received += len(data)
            if received > most:
                raise too_large(most)
            for piece in decoder.decode(data):
                decoded += len(piece)
                if decoded > most:
                    raise too_large(most, {"error_code": "request_body_too_large_after_decoding"})
                yield piece.decode(charset).encode() if charset == "latin-1" else piece
                if len(piece) >= PIECE:
                    await asyncio.sleep(0)
    except ClientDisconnect:
        raise ClientGone from None
    decoder.end()


def declared_length(request: Request, most: int) -> int:
    """Return the length that a request declares for its body, 0 if it declares none. Raises `RequestTooLarge`."""
    declared = request.headers.get("content-length", "")
    if not (declared.isascii() and declared.isdecimal()):
        return 0
    if len(declared) > _LONGEST_LENGTH or int(declared) > most:
        raise too_large(most)
    return int(declared)


def too_large(most: int, details: dict[str, object] | None = None) -> RequestTooLarge:
    """Return the error for a body of more than `most` bytes."""
    return RequestTooLarge(f"Request exceeds the maximum size of {most} bytes", details=details)
