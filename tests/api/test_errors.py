"""The table of responses to errors, and the body of errors."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from dragoman import errors
from dragoman.api.anthropic.errors import ErrorBody
from dragoman.errors import (
    RESPONSES,
    DragomanError,
    InvalidRequest,
    PromptTooLong,
    RateLimited,
    Response,
    ThreadsUnsupported,
    Unexpected,
)

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _below(kind: type[DragomanError]) -> Iterator[type[DragomanError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def _error(kind: type[DragomanError]) -> DragomanError:
    if kind is PromptTooLong:
        return PromptTooLong(9, 8)
    if kind is RateLimited:
        return RateLimited("requests", 9, 8)
    return kind() if kind in (ThreadsUnsupported, Unexpected) else kind("what went wrong")


@pytest.mark.clause("ERR-2")
def test_every_class_that_can_be_raised_has_a_response_and_no_other_class_has_one() -> None:
    groups = {errors.ClientError, errors.EngineError, errors.ServerError}  # base classes, never raised themselves
    assert set(RESPONSES) == {kind for kind in _below(DragomanError) if kind.__module__ == errors.__name__} - groups


@pytest.mark.clause("ERR-2")
@pytest.mark.parametrize("answer", sorted(set(RESPONSES.values())), ids=str)
def test_status_and_type_match_the_api(answer: Response) -> None:
    assert TYPES[answer.status] == answer.type


@pytest.mark.clause("ERR-1", "ERR-2", "ERR-4")
@pytest.mark.parametrize("kind", RESPONSES, ids=lambda kind: kind.__name__)
def test_errors_of_all_classes_have_the_same_body(kind: type[DragomanError]) -> None:
    error = _error(kind)
    expected: dict[str, Any] = {"type": RESPONSES[kind].type, "message": error.message}
    if error.details is not None:
        expected["details"] = error.details
    assert json.loads(msgspec.json.encode(ErrorBody.of(error, "req_1"))) == {
        "type": "error",
        "error": expected,
        "request_id": "req_1",
    }


@pytest.mark.clause("THR-3", "ERR-4")
def test_threads_are_refused_with_details_that_make_the_tool_runner_resend() -> None:
    assert msgspec.to_builtins(ErrorBody.of(ThreadsUnsupported(), "req_1")) == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "thread: message threads are not supported by this server "
            "(capability_rejected: beta_header:message-threads-2026-08-12)",
            "details": {"error_code": "thread_unsupported_request", "unsupported": []},
        },
        "request_id": "req_1",
    }


@pytest.mark.clause("ERR-9")
def test_an_error_at_a_path_has_the_message_path_and_reason() -> None:
    assert InvalidRequest.at("tools.0.name", "too long").message == "tools.0.name: too long"


@pytest.mark.clause("ERR-11")
def test_the_error_for_a_long_prompt_has_the_wording_that_clients_match() -> None:
    assert PromptTooLong(300, 200).message == "prompt is too long: 300 tokens > 200 maximum"


def test_an_unexpected_error_has_no_details() -> None:
    assert Unexpected().message == "Internal server error"
