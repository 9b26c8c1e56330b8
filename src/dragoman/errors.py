"""What can go wrong, and what the client is told of it.

    DragomanError
    ├── ClientError              the request is at fault: the same request will fail again
    │   ├── InvalidRequest       a field, a block, an order of turns (ERR-9)
    │   │   ├── PromptTooLong    the input alone passes the window (ERR-11)
    │   │   └── ThreadsUnsupported   `thread` was sent (THR-3)
    │   ├── Unauthenticated      no key, or a wrong one (AUTH-3)
    │   ├── UnknownModel         a name that this server does not serve (ERR-10)
    │   ├── UnknownRoute         no such path
    │   ├── MethodNotAllowed     no such method on that path
    │   ├── ForeignHost          a name of this machine that it is not known by
    │   ├── RequestTimedOut      the request did not arrive in time
    │   ├── HeadTooLarge         its head passes the limit
    │   └── RequestTooLarge      the body passes the limit (TRN-12)
    ├── EngineError              the engine is at fault
    │   ├── EngineFailed         it died, broke its protocol or reported a failure
    │   │   └── EngineRefused        it did not take the work in the form in which it got it
    │   └── EngineUnavailable    it is loading, restarting or gone: waiting can help
    └── ServerError              this process is at fault
        ├── Overloaded           the queue is full
        ├── ShuttingDown         the process is leaving
        ├── ClientStalled        the client stopped reading its stream
        └── Unexpected           a defect

Whose fault it was decides the class; the class alone decides the status and the type (`RESPONSES`).
"""

from http import HTTPStatus
from typing import NamedTuple


class DragomanError(Exception):
    """The root: a sentence for the client.

    `details` is the optional `error.details` object (ERR-4). `retry_after` is in seconds and only given where
    waiting can help (ERR-6, ERR-7).
    """

    retry_after: int | None = None

    def __init__(self, message: str, *, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        """Travel whole between processes, whatever the subclass is made from."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[DragomanError], args: tuple[object, ...], state: dict[str, object]) -> DragomanError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ClientError(DragomanError):
    """The request is at fault."""


class InvalidRequest(ClientError):
    """A field, a block or an order of turns that the contract does not allow. `path` is its place, where it has one."""

    path: str | None = None

    @classmethod
    def at(cls, path: str, reason: str, *, details: dict[str, object] | None = None) -> "InvalidRequest":
        """The wording of ERR-9: `dotted.path: reason`."""
        error = cls(f"{path}: {reason}", details=details)
        error.path = path
        return error


class PromptTooLong(InvalidRequest):
    """The input alone passes the window. Clients compact when they read this phrase (ERR-11)."""

    def __init__(self, tokens: int, maximum: int) -> None:
        super().__init__(f"prompt is too long: {tokens} tokens > {maximum} maximum")


class ThreadsUnsupported(InvalidRequest):
    """`thread` was sent: the answer that makes the SDK's tool runner resend in full (THR-3)."""

    def __init__(self) -> None:
        super().__init__(
            "thread: message threads are not supported by this server "
            "(capability_rejected: beta_header:message-threads-2026-08-12)",
            details={"error_code": "thread_unsupported_request", "unsupported": []},
        )


class Unauthenticated(ClientError):
    """No key, or a wrong one."""


class UnknownModel(ClientError):
    """A model name that this server does not serve."""


class UnknownRoute(ClientError):
    """No such path."""


class MethodNotAllowed(ClientError):
    """No such method on that path."""


class ForeignHost(ClientError):
    """The `Host` field names another machine."""


class RequestTimedOut(ClientError):
    """The request did not arrive in time."""


class HeadTooLarge(ClientError):
    """The request line and the header fields pass the limit."""


class RequestTooLarge(ClientError):
    """The body passes the limit."""


class EngineError(DragomanError):
    """The engine is at fault."""


class EngineFailed(EngineError):
    """It died, broke its protocol or reported a failure."""


class EngineRefused(EngineFailed):
    """It did not take the work in the form in which it got it: nothing was done."""


class EngineUnavailable(EngineError):
    """It is loading, restarting or gone: waiting can help."""

    retry_after = 2


class ServerError(DragomanError):
    """This process is at fault."""


class Overloaded(ServerError):
    """The queue is full."""

    retry_after = 1


class ShuttingDown(ServerError):
    """The process is leaving."""

    retry_after = 5


class ClientStalled(ServerError):
    """The client stopped reading its stream."""


class Unexpected(ServerError):
    """A defect: the cause is in the log, never on the wire."""

    def __init__(self) -> None:
        super().__init__("Internal server error")


class Response(NamedTuple):
    """How an error class is answered: the HTTP status and the Anthropic type (ERR-2)."""

    status: int
    type: str


OVERLOADED_STATUS = 529
"""Anthropic's own status for "come back later"; HTTP has no name for it."""

RESPONSES: dict[type[DragomanError], Response] = {
    InvalidRequest: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    PromptTooLong: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    ThreadsUnsupported: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    Unauthenticated: Response(HTTPStatus.UNAUTHORIZED, "authentication_error"),
    UnknownModel: Response(HTTPStatus.NOT_FOUND, "not_found_error"),
    UnknownRoute: Response(HTTPStatus.NOT_FOUND, "not_found_error"),
    MethodNotAllowed: Response(HTTPStatus.METHOD_NOT_ALLOWED, "invalid_request_error"),
    ForeignHost: Response(HTTPStatus.FORBIDDEN, "permission_error"),
    RequestTimedOut: Response(HTTPStatus.REQUEST_TIMEOUT, "invalid_request_error"),
    HeadTooLarge: Response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "invalid_request_error"),
    RequestTooLarge: Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large"),
    EngineFailed: Response(HTTPStatus.INTERNAL_SERVER_ERROR, "api_error"),
    EngineRefused: Response(HTTPStatus.INTERNAL_SERVER_ERROR, "api_error"),
    EngineUnavailable: Response(OVERLOADED_STATUS, "overloaded_error"),
    Overloaded: Response(OVERLOADED_STATUS, "overloaded_error"),
    ShuttingDown: Response(OVERLOADED_STATUS, "overloaded_error"),
    ClientStalled: Response(HTTPStatus.GATEWAY_TIMEOUT, "timeout_error"),
    Unexpected: Response(HTTPStatus.INTERNAL_SERVER_ERROR, "api_error"),
}
"""The one table. Every concrete class stands in it; a class that is missing is a defect that a test finds."""
