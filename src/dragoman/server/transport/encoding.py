"""Decodes the bodies of requests: gzip, and the charsets of JSON (TRN-13), piece by piece."""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from starlette.datastructures import Headers

from dragoman.errors import InvalidRequest

PIECE: Final = 128 * 1024
"""The most bytes that are decompressed at once."""
_INPUT: Final = 16 * 1024
_CHARSETS: Final = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "us-ascii": "ascii"}


class Decoder(Protocol):
    """Decodes a body while it arrives."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes, in pieces. Raises `InvalidRequest`."""

    def end(self) -> None:
        """Raise `InvalidRequest` if the body is not complete."""


class GzipDecoder:
    """Decompresses a gzip body while it arrives."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=31)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of the next bytes, in pieces. Raises `InvalidRequest` for what is not gzip, or follows its end."""
        for start in range(0, len(data), _INPUT):
            waiting: bytes = data[start : start + _INPUT]
            full = False
            while waiting or full:
                if self._inflater.eof:
                    raise _not_gzip("more data follows its end")
                try:
                    piece = self._inflater.decompress(waiting, PIECE)
                except zlib.error as error:
                    raise _not_gzip(str(error)) from error
                waiting = self._inflater.unconsumed_tail or self._inflater.unused_data
                full = len(piece) == PIECE and not self._inflater.eof
                if piece:
                    yield piece

    def end(self) -> None:
        """Raise `InvalidRequest` if the body is not complete."""
        if not self._inflater.eof:
            raise _not_gzip("it is truncated")


class PlainDecoder:
    """Passes on a body that is not compressed."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the bytes."""
        if data:
            yield data

    def end(self) -> None:
        """Accept any length: HTTP itself tells whether the body is complete."""


def decoder_of(headers: Headers) -> Decoder:
    """Return the decoder for a body's `content-encoding`. Raises `InvalidRequest` for any but gzip."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return PlainDecoder()
    if encoding != "gzip":
        code: dict[str, object] = {"error_code": "request_body_encoding_unsupported"}
        raise InvalidRequest.at("content-encoding", f"{encoding} is not supported", details=code)
    return GzipDecoder()


def charset_of(headers: Headers) -> str:
    """Return the charset of a JSON body. Raises `InvalidRequest` unless the content type is JSON."""
    media, _, parameters = headers.get("content-type", "").partition(";")
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


def _not_gzip(reason: str) -> InvalidRequest:
    code: dict[str, object] = {"error_code": "request_body_encoding_invalid"}
    return InvalidRequest.at("content-encoding", f"the body is not gzip: {reason}", details=code)
