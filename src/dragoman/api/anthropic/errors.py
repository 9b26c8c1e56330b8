"""The body of error responses and `error` events (ERR-1)."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from dragoman.errors import RESPONSES, DragomanError


class ErrorDetail(Struct, frozen=True):
    """Type and message of an error. `details` is left out where there are none (ERR-4)."""

    type: str
    message: str
    details: dict[str, Any] | UnsetType = UNSET


class ErrorBody(Struct, frozen=True, tag="error"):
    """The body of a failed request, and the data of an `error` event (SSE-17)."""

    error: ErrorDetail
    request_id: str

    @classmethod
    def of(cls, error: DragomanError, request_id: str) -> "ErrorBody":
        """The body for one of our errors."""
        details = UNSET if error.details is None else error.details
        return cls(ErrorDetail(RESPONSES[type(error)].type, error.message, details), request_id)
