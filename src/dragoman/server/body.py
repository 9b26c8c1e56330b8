"""Reads a request's body: content type, size, encoding (TRN-12, TRN-13), and a memory limit for all bodies together."""

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from starlette.requests import ClientDisconnect, Request

from dragoman.errors import InvalidRequest, Overloaded, RequestTooLarge
from dragoman.server.disconnect import ClientGone

MAX_BODY = 32 * 1024 * 1024
ALL_BODIES = 4 * MAX_BODY
"""Bytes that all bodies may take together while they are received and processed."""
SMALL_BODY = 256 * 1024
"""Bytes of each body that are not counted, so that small bodies are accepted while large ones fill the memory."""
_INPUT_CHUNK = 16 * 1024
_OUTPUT_CHUNK = 128 * 1024
"""Bytes of a compressed body per call of the decompressor, and bytes that one call may return."""
_LONGEST_LENGTH = 20
"""The most digits of a `content-length` that are parsed."""
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "us-ascii": "ascii"}


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
    """Return the body as UTF-8 JSON text. Raises `InvalidRequest`, `RequestTooLarge`, `Overloaded`, `ClientGone`."""
    charset = _charset(request)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    body = await _decoded(await _received(request, share), encoding, share)
    if charset == "latin-1":
        return body.decode(charset).encode()
    return body


def _charset(request: Request) -> str:
    """Return the charset of the body. Raises `InvalidRequest` unless the content type is JSON."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    if media.strip().lower() != "application/json":
        raise InvalidRequest.at("content-type", "must be application/json")
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "charset":
        return "utf-8"
    charset = _CHARSETS.get(value.strip().strip('"').lower())
    if charset is None:
        raise InvalidRequest.at(
            "content-type", f"charset {value.strip()} is not supported", details={"error_code": "unsupported_charset"}
        )
    return charset


async def _received(request: Request, share: Share) -> bytes:
    """Receive the body. Its declared length is taken first, so that a body without memory for it is refused unread.

    The chunks are not joined at the end: for a large body, that takes tens of milliseconds.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit():
        if len(declared) > _LONGEST_LENGTH or int(declared) > MAX_BODY:
            raise _too_large()
        share.grow(int(declared))
    body = BytesIO()
    try:
        async for chunk in request.stream():
            body.write(chunk)
            if body.tell() > MAX_BODY:
                raise _too_large()
            share.grow(body.tell())
    except ClientDisconnect:
        raise ClientGone from None
    return body.getvalue()


async def _decoded(body: bytes, encoding: str, share: Share) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise InvalidRequest.at(
            "content-encoding", f"{encoding} is not supported", details={"error_code": "request_body_encoding_unsupported"}
        )
    try:
        return await _inflated(body, share)
    except zlib.error as error:
        raise InvalidRequest.at(
            "content-encoding", f"the body is not gzip: {error}", details={"error_code": "request_body_encoding_invalid"}
        ) from error


async def _inflated(body: bytes, share: Share) -> bytes:
    """Decompress gzip. The share grows with the output, and other tasks run between the chunks.

    Raises `zlib.error`, `RequestTooLarge`, `Overloaded`.
    """
    inflater = zlib.decompressobj(wbits=31)
    inflated = BytesIO()
    for start in range(0, len(body), _INPUT_CHUNK):
        waiting: bytes = body[start : start + _INPUT_CHUNK]
        full = False
        while waiting or full:
            chunk = inflater.decompress(waiting, _OUTPUT_CHUNK)
            waiting = inflater.unconsumed_tail
            full = len(chunk) == _OUTPUT_CHUNK
            inflated.write(chunk)
            if inflated.tell() > MAX_BODY:
                raise _too_large({"error_code": "request_body_too_large_after_decoding"})
            share.grow(len(body) + inflated.tell())
            if full:
                await asyncio.sleep(0)
        if inflater.unused_data:
            raise zlib.error("more data follows its end")
    if not inflater.eof:
        raise zlib.error("it is truncated")
    return inflated.getvalue()


def _too_large(details: dict[str, object] | None = None) -> RequestTooLarge:
    return RequestTooLarge(f"Request exceeds the maximum size of {MAX_BODY} bytes", details=details)
