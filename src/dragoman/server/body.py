"""Reading a request's body: its type, its size, its encoding (TRN-12, TRN-13)."""

import zlib

from starlette.requests import ClientDisconnect, Request

from dragoman.errors import InvalidRequest, RequestTooLarge
from dragoman.server.disconnect import ClientGone

MAX_BODY = 32 * 1024 * 1024
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "latin-1", "us-ascii": "ascii"}


async def read_json_body(request: Request) -> bytes:
    """The body as UTF-8 JSON text. Raises `InvalidRequest`, `RequestTooLarge`, `ClientGone`."""
    charset = _charset(request)
    body = _decoded(await _received(request), request.headers.get("content-encoding", "identity").strip().lower())
    if charset == "latin-1":
        return body.decode(charset).encode()
    return body


def _charset(request: Request) -> str:
    """Only what is declared as JSON is read as JSON."""
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


async def _received(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise _too_large()
    chunks = bytearray()
    try:
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > MAX_BODY:
                raise _too_large()
    except ClientDisconnect:
        raise ClientGone from None
    return bytes(chunks)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise InvalidRequest.at(
            "content-encoding", f"{encoding} is not supported", details={"error_code": "request_body_encoding_unsupported"}
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise InvalidRequest.at(
            "content-encoding", f"the body is not gzip: {error}", details={"error_code": "request_body_encoding_invalid"}
        ) from error
    if len(plain) > MAX_BODY:
        raise _too_large({"error_code": "request_body_too_large_after_decoding"})
    if not inflater.eof:
        raise InvalidRequest.at(
            "content-encoding", "the gzip body is cut short", details={"error_code": "request_body_encoding_invalid"}
        )
    return plain


def _too_large(details: dict[str, object] | None = None) -> RequestTooLarge:
    return RequestTooLarge(f"Request exceeds the maximum size of {MAX_BODY} bytes", details=details)
