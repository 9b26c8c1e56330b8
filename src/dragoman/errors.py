"""The error classes, and the HTTP status and error type of each.

    DragomanError
    ├── ClientError              the request is at fault: the same request will fail again
    │   ├── InvalidRequest       an invalid field, block or order of turns (ERR-9)
    │   │   ├── PromptTooLong    the input alone exceeds the context window (ERR-11)
    │   │   ├── LostResponse     it continues a response that is not stored
    │   │   └── ThreadsUnsupported   `thread` was sent (THR-3)
    │   ├── Unauthenticated      no key, or a wrong one (AUTH-3)
    │   ├── RateLimited          its key has used up what it may use in a minute (TRN-17)
    │   ├── UnknownModel         a model that this server does not serve (ERR-10)
    │   ├── UnknownResponse      a response that is not stored
    │   ├── UnknownObject        a file, a batch or a request that is not kept
    │   ├── UnknownRoute         no such path
    │   ├── MethodNotAllowed     no such method on that path
    │   ├── ForeignHost          a `Host` header that does not name this server, or a page of a foreign origin
    │   ├── RequestTimedOut      the request did not arrive in time
    │   ├── HeadTooLarge         the request line and headers exceed the limit
    │   └── RequestTooLarge      the body exceeds the limit (TRN-12)
    ├── EngineError              the engine is at fault
    │   ├── EngineFailed         it exited, broke its protocol or reported a failure
    │   │   └── EngineRefused        it rejected the request as it was sent
    │   └── EngineUnavailable    it is loading, restarting or unreachable: a retry can help
    └── ServerError              this process is at fault
        ├── Overloaded           the queue is full
        ├── ShuttingDown         the process is shutting down
        ├── WorkerEnded          the process that worked on the request was killed: a retry can help
        ├── ClientStalled        the client stopped reading its stream
        ├── StorageFailed        the database or the store of files cannot be used
        └── Unexpected           a bug

The party at fault decides the class; the class alone decides the status and the type (`RESPONSES`).
"""

from http import HTTPStatus
from typing import NamedTuple


class DragomanError(Exception):
    """The base class; its message is a sentence for the client.

    `details` is the optional `error.details` object (ERR-4). `retry_after` is in seconds and only set where
    a retry can help (ERR-6, ERR-7).
    """

    retry_after: int | None = None

    def __init__(self, message: str, *, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all attributes, whatever arguments the subclass takes."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[DragomanError], args: tuple[object, ...], state: dict[str, object]) -> DragomanError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ClientError(DragomanError):
    """The request is at fault."""


class InvalidRequest(ClientError):
    """The contract does not allow a field, a block or an order of turns; `path` is its place in the request, if it has one."""

    path: str | None = None

    @classmethod
    def at(cls, path: str, reason: str, *, details: dict[str, object] | None = None) -> "InvalidRequest":
        """Return the error with the wording of ERR-9: `dotted.path: reason`."""
        error = cls(f"{path}: {reason}", details=details)
        error.path = path
        return error


class PromptTooLong(InvalidRequest):
    """The input alone exceeds the context window; clients compact when they read this message (ERR-11)."""

    def __init__(self, tokens: int, maximum: int) -> None:
        super().__init__(f"prompt is too long: {tokens} tokens > {maximum} maximum")


class LostResponse(InvalidRequest):
    """The request continues a response that is not stored, or not any more: its client sends the whole conversation instead."""


class ThreadsUnsupported(InvalidRequest):
    """`thread` was sent; this response makes the SDK's tool runner resend the whole conversation (THR-3)."""

    def __init__(self) -> None:
        super().__init__(
            "thread: message threads are not supported by this server "
            "(capability_rejected: beta_header:message-threads-2026-08-12)",
            details={"error_code": "thread_unsupported_request", "unsupported": []},
        )


class Unauthenticated(ClientError):
    """The request has no API key, or a wrong one."""


class RateLimited(ClientError):
    """The key of the request has used up a limit per minute; `kind` says what is limited, `seconds` how long to wait."""

    def __init__(self, kind: str, limit: int, seconds: int) -> None:
        super().__init__(f"this key may use {limit:,} {kind} per minute: retry in {seconds:,} s")
        self.retry_after = seconds


class UnknownModel(ClientError):
    """The request names a model that this server does not serve."""


class UnknownResponse(ClientError):
    """The path names a response that is not stored."""


class UnknownObject(ClientError):
    """The path names a file, a batch or a request that is not kept, or not any more."""


class UnknownRoute(ClientError):
    """The path does not exist."""


class MethodNotAllowed(ClientError):
    """The path does not have this method."""


class ForeignHost(ClientError):
    """The `Host` header does not name this server, or the `Origin` header is that of a page that may not do this."""


class RequestTimedOut(ClientError):
    """The request did not arrive in time."""


class HeadTooLarge(ClientError):
    """The request line and the headers exceed the limit."""


class RequestTooLarge(ClientError):
    """The body exceeds the limit."""


class EngineError(DragomanError):
    """The engine is at fault."""


class EngineFailed(EngineError):
    """The engine exited, broke its protocol or reported a failure."""


class EngineRefused(EngineFailed):
    """The engine rejected the request as it was sent, and did no work."""


class EngineUnavailable(EngineError):
    """The engine is loading, restarting or unreachable: a retry can help."""

    retry_after = 2


class ServerError(DragomanError):
    """This process is at fault."""


class Overloaded(ServerError):
    """The request queue is full."""

    retry_after = 1


class ShuttingDown(ServerError):
    """The process is shutting down."""

    retry_after = 5


class WorkerEnded(ServerError):
    """The process that worked on the request was killed; its parent says so."""

    retry_after = 1


class ClientStalled(ServerError):
    """The client stopped reading its stream."""


class StorageFailed(ServerError):
    """The database or the store of files cannot be used: it is unreachable, full or damaged."""


class Unexpected(ServerError):
    """A bug; the cause is in the log and never in the response."""

    def __init__(self) -> None:
        super().__init__("Internal server error")


def for_client(error: Exception) -> DragomanError:
    """Return the error that a client gets for a failure: that of a bug says nothing of its cause."""
    return error if isinstance(error, DragomanError) else Unexpected()


class Response(NamedTuple):
    """The HTTP status and the Anthropic error type of an error class (ERR-2)."""

    status: int
    type: str


OVERLOADED_STATUS = 529
"""Anthropic's status for an overloaded server; it is not a registered HTTP status."""

RESPONSES: dict[type[DragomanError], Response] = {
    InvalidRequest: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    PromptTooLong: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    LostResponse: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    ThreadsUnsupported: Response(HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    Unauthenticated: Response(HTTPStatus.UNAUTHORIZED, "authentication_error"),
    RateLimited: Response(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    UnknownModel: Response(HTTPStatus.NOT_FOUND, "not_found_error"),
    UnknownResponse: Response(HTTPStatus.NOT_FOUND, "not_found_error"),
    UnknownObject: Response(HTTPStatus.NOT_FOUND, "not_found_error"),
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
    WorkerEnded: Response(OVERLOADED_STATUS, "overloaded_error"),
    ClientStalled: Response(HTTPStatus.GATEWAY_TIMEOUT, "timeout_error"),
    StorageFailed: Response(HTTPStatus.INTERNAL_SERVER_ERROR, "api_error"),
    Unexpected: Response(HTTPStatus.INTERNAL_SERVER_ERROR, "api_error"),
}
"""The response of every concrete error class; a test checks that none is missing."""
