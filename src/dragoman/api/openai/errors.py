"""The shape of a failure at the second door."""

from msgspec import Struct

from dragoman.errors import (
    ClientError,
    DragomanError,
    InvalidRequest,
    PromptTooLong,
    Unauthenticated,
    UnknownModel,
)

_CODES: dict[type[DragomanError], str] = {
    PromptTooLong: "context_length_exceeded",
    Unauthenticated: "invalid_api_key",
    UnknownModel: "model_not_found",
}
"""What clients look at beside the status."""


class ErrorDetail(Struct, frozen=True):
    """`param` is the path of the field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct, frozen=True):
    """The body of a failed request, and the data of a stream's last event where it fails."""

    error: ErrorDetail

    @classmethod
    def of(cls, error: DragomanError, _: str) -> "ErrorBody":
        """The envelope for an error of ours. The request's id travels in a header."""
        kind = "invalid_request_error" if isinstance(error, ClientError) else "server_error"
        path = error.path if isinstance(error, InvalidRequest) else None
        return cls(ErrorDetail(error.message, kind, path, _CODES.get(type(error))))
