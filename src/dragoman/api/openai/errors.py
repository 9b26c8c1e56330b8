"""The body of errors in the OpenAI-compatible API."""

from msgspec import Struct

from dragoman.errors import (
    ClientError,
    DragomanError,
    InvalidRequest,
    LostResponse,
    PromptTooLong,
    RateLimited,
    Unauthenticated,
    UnknownModel,
    UnknownRoute,
)

_CODES: dict[type[DragomanError], str] = {
    PromptTooLong: "context_length_exceeded",
    LostResponse: "previous_response_not_found",
    Unauthenticated: "invalid_api_key",
    RateLimited: "rate_limit_exceeded",
    UnknownModel: "model_not_found",
    UnknownRoute: "unknown_url",
}
"""Error codes that clients check in addition to the status."""


class ErrorDetail(Struct, frozen=True):
    """Message and type of an error. `param` is the path of the field that caused it."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct, frozen=True):
    """The body of a failed request, and the data of the last event of a failed stream."""

    error: ErrorDetail

    @classmethod
    def of(cls, error: DragomanError, _: str) -> "ErrorBody":
        """The body for one of our errors. The request id is sent in a header."""
        path = error.path if isinstance(error, InvalidRequest) else None
        return cls(ErrorDetail(error.message, _kind(error), path, _CODES.get(type(error))))


def _kind(error: DragomanError) -> str:
    if isinstance(error, RateLimited):
        return "rate_limit_error"
    return "invalid_request_error" if isinstance(error, ClientError) else "server_error"
