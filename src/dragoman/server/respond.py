"""Answers that are not streams."""

from typing import Any

import msgspec
from starlette.types import Message, Send

from dragoman.errors import OVERLOADED_STATUS, RESPONSES, DragomanError
from dragoman.wire.door import Door

_encode = msgspec.json.Encoder().encode
_RETRYABLE = frozenset({429, 500, 504, OVERLOADED_STATUS})


async def send_json(send: Send, body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
    """Send a wire value as JSON."""
    content = _encode(body)
    fields = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    await send(response_start(status, fields))
    await send({"type": "http.response.body", "body": content})


async def send_error(
    send: Send, door: Door[Any], error: DragomanError, request_id: str, headers: dict[str, str] | None = None
) -> None:
    """Send an error in the door's envelope, and whether another try can help (ERR-1, ERR-7)."""
    status = RESPONSES[type(error)].status
    fields = {"x-should-retry": "true" if status in _RETRYABLE else "false", **(headers or {})}
    if error.retry_after is not None:
        fields["retry-after"] = str(error.retry_after)
    await send_json(send, door.fault(error, request_id), status=status, headers=fields)


def response_start(status: int, headers: dict[str, str]) -> Message:
    """The ASGI message that opens a response."""
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }
