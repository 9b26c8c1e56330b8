"""Starts responses, and sends those that are not streams."""

import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Send

from dragoman.api.anthropic.formats import MESSAGES
from dragoman.api.format import ApiFormat
from dragoman.api.openai.formats import CHAT, COMPLETIONS, RESPONSES_API
from dragoman.errors import OVERLOADED_STATUS, RESPONSES, DragomanError
from dragoman.server.access.origins import PAGES, Pages
from dragoman.server.transport.versions import VERSION_HEADER

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # asks proxies not to buffer the stream
}

_PREFIX = "/anthropic"
_encode = msgspec.json.Encoder().encode
_RETRYABLE = frozenset({408, 429, 500, 504, OVERLOADED_STATUS})
_RESPONSES = "/v1/responses"
_FILES = "/v1/files"
_FORMATS: Mapping[str, ApiFormat[Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    _RESPONSES: RESPONSES_API,
}

_OPENAI_ONLY = frozenset(
    {"assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "embeddings", "engines", "evals"}
    | {"fine_tuning", "images", "moderations", "realtime", "rerank", "responses", "score", "threads", "uploads"}
    | {"vector_stores", "videos"}
)
"""First steps of paths after `/v1/` that only the OpenAI API has: what is missing there is refused in its format, too."""


def plain_path(path: str) -> str:
    """Return a path without the `/anthropic` prefix and trailing slashes: both prefixes serve the whole API (TRN-1, TRN-10)."""
    if path == _PREFIX or path.startswith(_PREFIX + "/"):
        path = path[len(_PREFIX) :]
    return path.rstrip("/") or "/"


def format_of(path: str, headers: Mapping[str, str]) -> ApiFormat[Any]:
    """Return the API format of a plain path, for responses and errors; files have the same paths in both APIs."""
    if path == _FILES or path.startswith(f"{_FILES}/"):
        return MESSAGES if VERSION_HEADER in headers else CHAT
    if path.startswith(f"{_RESPONSES}/"):
        return RESPONSES_API
    if path in _FORMATS:
        return _FORMATS[path]
    return CHAT if is_openai_only(path) else MESSAGES


def is_openai_only(path: str) -> bool:
    """Whether a plain path is one that only the OpenAI API has, such as that of embeddings."""
    return path.startswith("/v1/") and path.split("/")[2] in _OPENAI_ONLY


def json_response(value: object) -> Response:
    """Return a response with a value as JSON."""
    return Response(_encode(value), media_type="application/json")


async def send_json(send: Send, body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
    """Send a value as a JSON response."""
    content = _encode(body)
    fields = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    await send(response_start(status, fields))
    await send({"type": "http.response.body", "body": content})


async def send_error(
    send: Send, api_format: ApiFormat[Any], error: DragomanError, request_id: str, headers: dict[str, str] | None = None
) -> None:
    """Send an error in the API format, with headers that say whether a retry can help (ERR-1, ERR-7)."""
    fields = {**_retry_fields(error), **(headers or {})}
    await send_json(send, api_format.error_body(error, request_id), status=RESPONSES[type(error)].status, headers=fields)


def refusal(path: str, error: DragomanError, headers: Iterable[tuple[bytes, bytes]], state: Mapping[str, Any]) -> bytes:
    """Return a whole HTTP/1.1 response for a request that does not reach the application; the connection closes after it.

    `headers` are those of the request, as far as they have arrived; `state` is that of the application, which has its pages.
    """
    request_id = f"req_{secrets.token_hex(12)}"
    pages: Pages | None = state.get(PAGES)
    content = _encode(format_of(plain_path(path), {VERSION_HEADER: ""}).error_body(error, request_id))
    status = RESPONSES[type(error)].status
    phrase = "Overloaded" if status == OVERLOADED_STATUS else HTTPStatus(status).phrase
    fields = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "connection": "close",
        "request-id": request_id,
        "x-request-id": request_id,
        **_retry_fields(error),
        **({} if pages is None else pages.fields(Headers(raw=list(headers)).get("origin", ""))),
    }
    lines = [f"HTTP/1.1 {int(status)} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def _retry_fields(error: DragomanError) -> dict[str, str]:
    fields = {"x-should-retry": "true" if RESPONSES[type(error)].status in _RETRYABLE else "false"}
    return fields if error.retry_after is None else {**fields, "retry-after": str(error.retry_after)}


def response_start(status: int, headers: dict[str, str]) -> Message:
    """Return the ASGI message that starts a response."""
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }
