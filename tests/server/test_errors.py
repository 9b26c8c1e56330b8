"""Errors of every route have one format."""

import re
from http import HTTPStatus
from typing import Any

import pytest

from conftest import MODEL, Serve, body, live_registry, registry_of, user
from controllable_engine import ControllableEngine
from dragoman.engines import Capabilities
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import DragomanError, EngineFailed, EngineUnavailable
from server.http import Answer, ask, get, post

INVALID = "invalid_request_error"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"


def refusal(answer: Answer, status: int = HTTPStatus.BAD_REQUEST, kind: str = INVALID) -> str:
    """Return the message of an error that the client should not retry."""
    assert answer.status == status
    assert answer.error[0] == kind
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    return answer.error[1]


@pytest.mark.clause("ERR-1", "ERR-2")
@pytest.mark.parametrize(
    "path", ["/v1/message", "/v1", "/anthropic", "/v1/messages/x", "/anthropic/v1/nothing", "/v1/complete"]
)
def test_an_unknown_path_is_404(engine: ControllableEngine, path: str) -> None:
    plain = path.removeprefix("/anthropic")
    if plain:
        assert plain in refusal(get(engine.url, path), HTTPStatus.NOT_FOUND, "not_found_error")
    refusal(post(engine.url, body(), path + "/x"), HTTPStatus.NOT_FOUND, "not_found_error")


@pytest.mark.clause("ERR-1", "ERR-2")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", MESSAGES), ("PUT", MESSAGES), ("DELETE", COUNT), ("POST", "/v1/models"), ("PATCH", f"/v1/models/{MODEL}")],
)
def test_a_method_that_a_path_does_not_have_is_405(engine: ControllableEngine, method: str, path: str) -> None:
    answer = ask(engine.url, method, path)
    assert refusal(answer, HTTPStatus.METHOD_NOT_ALLOWED) == f"{method} is not allowed on {path}"
    assert answer.headers["allow"]


@pytest.mark.clause("ERR-1", "ERR-3")
@pytest.mark.parametrize("path", [MESSAGES, COUNT, "/anthropic/v1/messages"])
@pytest.mark.parametrize("content", [b"", b"{", b"{'model': 1}", b'{"model": "\xff"}', b'{"model": "\\ud800"}', b"[" * 5000])
def test_a_body_that_is_not_json_is_400(engine: ControllableEngine, path: str, content: bytes) -> None:
    assert "JSON" in refusal(post(engine.url, content, path))


@pytest.mark.clause("ERR-1")
@pytest.mark.parametrize("content", [b"null", b"[]", b'"words"', b"7", b"true"])
def test_a_body_that_is_not_an_object_is_400(engine: ControllableEngine, content: bytes) -> None:
    assert "object" in refusal(post(engine.url, content))


@pytest.mark.clause("ERR-1")
@pytest.mark.parametrize(
    "declared", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""]
)
@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_a_body_must_be_declared_as_json(engine: ControllableEngine, path: str, declared: str | None) -> None:
    message = refusal(post(engine.url, body(), path, content_type=declared))
    assert message == "content-type: must be application/json"


@pytest.mark.clause("ERR-9", "REQ-1")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "model: Field required"),
        ({"model": MODEL, "messages": [user("Hi")]}, "max_tokens: Field required"),
        ({"model": MODEL, "max_tokens": 1}, "messages: Field required"),
        (body(max_tokens="5"), "max_tokens: Input should be a valid integer"),
        (body(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
        (body({"role": "user"}), "messages.0.content: Field required"),
        (body({"role": "robot", "content": "Hi"}), "messages.0.role: Input should be 'user', 'assistant' or 'system'"),
        (
            body(user("Hi"), {"role": "assistant", "content": [{"type": "text"}]}),
            "messages.1.content.0.text.text: Field required",
        ),
        (body(tools=[{"input_schema": {"type": "object"}}]), "tools.0.custom.name: Field required"),
        (body(messages=[]), "messages: at least one message is required"),
    ],
)
def test_the_first_problem_is_named_by_its_path(engine: ControllableEngine, given: dict[str, object], message: str) -> None:
    assert refusal(post(engine.url, given)) == message


@pytest.mark.clause("ERR-10", "ERR-2")
@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_an_unknown_model_is_404_and_named(engine: ControllableEngine, path: str) -> None:
    message = refusal(post(engine.url, body(model="gpt-9"), path), HTTPStatus.NOT_FOUND, "not_found_error")
    assert message.startswith("model: gpt-9")
    for name in (MODEL, "small", "org/model"):
        assert name in message


@pytest.mark.clause("ERR-10")
@pytest.mark.parametrize("name", [MODEL, "small", "org/model", "claude-sonnet-4-5", "claude-opus-4-6[1m]", f"{MODEL}[1m]"])
def test_the_served_id_its_aliases_and_claude_names_resolve(engine: ControllableEngine, name: str) -> None:
    assert post(engine.url, body(model=name)).status == HTTPStatus.OK


def test_any_model_resolves_if_the_operator_allows_it(serve: Serve) -> None:
    assert post(serve(any_model=True), body(model="gpt-9")).json["model"] == "gpt-9"


@pytest.mark.clause("ERR-11", "ERR-8")
@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_longer_than_the_window_is_refused_with_both_numbers(serve: Serve, stream: bool) -> None:
    url = serve(window=200)
    long = user("word " * 300)
    tokens = post(url, body(long), COUNT).json["input_tokens"]
    message = refusal(post(url, body(long, stream=stream)))
    assert message == f"prompt is too long: {tokens} tokens > 199 maximum"


@pytest.mark.clause("ERR-8")
def test_refusals_are_equal_with_and_without_a_stream(engine: ControllableEngine) -> None:
    refused: list[dict[str, Any]] = [
        {"model": "unknown"},
        {"max_tokens": -1},
        {"messages": []},
        {"tools": [{"type": "web_search_20250305"}]},
    ]
    for fields in refused:
        whole, streamed = post(engine.url, body(**fields)), post(engine.url, body(**fields, stream=True))
        assert (whole.status, whole.error) == (streamed.status, streamed.error)
        assert whole.status >= HTTPStatus.BAD_REQUEST


@pytest.mark.clause("ERR-1", "ERR-2", "ERR-5")
@pytest.mark.parametrize("stream", [True, False])
def test_a_bug_is_logged_in_full_and_hidden_from_the_client(
    engine: ControllableEngine, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    engine.tokenizer_failure = RuntimeError("a secret of the server")
    answer = post(engine.url, body(user("never tokenized before"), stream=stream))
    assert answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert answer.error == ("api_error", "Internal server error")
    assert answer.headers["x-should-retry"] == "true"
    assert b"secret" not in answer.content
    assert "a secret of the server" in caplog.text
    assert answer.headers["request-id"] in caplog.text


@pytest.mark.clause("ERR-2", "ERR-8", "SSE-17")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [(EngineFailed("it broke"), 500, "api_error"), (EngineUnavailable("it restarts"), 529, "overloaded_error")],
)
def test_an_engine_that_fails_before_the_first_byte_is_an_http_error(
    engine: ControllableEngine, failure: Exception, status: int, kind: str, stream: bool
) -> None:
    engine.tokenizer_failure = failure
    answer = post(engine.url, body(user(f"not seen before {status} {stream}"), stream=stream))
    assert answer.status == status
    assert answer.error == (kind, str(failure))


@pytest.mark.clause("ERR-7", "ERR-8")
def test_an_unavailable_engine_asks_for_a_retry(engine: ControllableEngine) -> None:
    engine.tokenizer_failure = EngineUnavailable("it restarts")
    answer = post(engine.url, body(user("and this neither")))
    assert answer.headers["x-should-retry"] == "true"
    assert 0 < float(answer.headers["retry-after"]) <= 60


@pytest.mark.clause("ERR-6")
def test_no_error_asks_for_a_long_wait() -> None:
    def below(kind: type[DragomanError]) -> set[type[DragomanError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    waits = {kind.retry_after for kind in below(DragomanError)} - {None}
    assert waits
    assert all(0 < wait <= 60 for wait in waits)


@pytest.mark.clause("ERR-4")
def test_details_are_omitted_if_empty(engine: ControllableEngine) -> None:
    assert "details" not in post(engine.url, body(max_tokens=-1)).json["error"]
    assert post(engine.url, body(thread={"type": "create"})).json["error"]["details"]["error_code"]


class _FailingEngine(ControllableEngine):
    async def start(self) -> Capabilities:
        raise EngineFailed("no weights in there")


def test_a_model_that_cannot_be_loaded_fails_every_request_and_the_health_check() -> None:
    registry = registry_of(_FailingEngine())
    with live_registry(registry) as url:
        answer = post(url, body())
        assert (answer.status, answer.error) == (500, ("api_error", "no weights in there"))
        health = get(url, "/health")
        assert health.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert get(url, "/v1/models").status == HTTPStatus.INTERNAL_SERVER_ERROR


@pytest.mark.clause("THR-3", "THR-1", "THR-2", "BETA-4")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}])
def test_threads_are_refused_so_that_the_sdk_continues_without(
    engine: ControllableEngine, thread: dict[str, str], stream: bool
) -> None:
    answer = post(engine.url, body(thread=thread, stream=stream), anthropic_beta="message-threads-2026-08-12")
    refusal(answer)
    assert answer.json["error"]["details"] == {"error_code": "thread_unsupported_request", "unsupported": []}


@pytest.mark.clause("BETA-1", "BETA-3")
def test_any_beta_is_accepted(engine: ControllableEngine) -> None:
    known = "prompt-caching-2024-07-31, token-counting-2024-11-01,context-1m-2025-08-07"
    for value in (known, "unknown-2031-01-01", "", " , ,", "interleaved-thinking-2025-05-14," * 50):
        assert post(engine.url, body(), anthropic_beta=value).status == HTTPStatus.OK
        assert post(engine.url, body(stream=True), anthropic_beta=value).status == HTTPStatus.OK
        assert post(engine.url, body(), COUNT, anthropic_beta=value).status == HTTPStatus.OK


@pytest.mark.clause("BETA-2")
def test_unknown_fields_are_ignored_and_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dragoman.request")
    url = serve()
    for _ in range(2):
        assert (
            post(url, body(reasoning_details=[1], tools=[{"name": "f", "input_schema": {"type": "object"}, "x": 1}])).status
            == 200
        )
    named = [line for line in caplog.messages if "reasoning_details" in line]
    assert len(named) == 1
    assert re.search(r"unknown:.*tools\.x", named[0])


@pytest.mark.clause("BETA-2")
def test_unknown_fields_are_refused_in_strict_mode(serve: Serve) -> None:
    url = serve(strict=True)
    assert refusal(post(url, body(reasoning_details=[1]))) == "reasoning_details: Extra inputs are not permitted"
    assert post(url, body()).status == HTTPStatus.OK


@pytest.mark.clause("BETA-4", "REQ-14", "REQ-15", "REQ-17", "REQ-18")
def test_fields_without_effect_on_the_answer_are_ignored(engine: ControllableEngine) -> None:
    ignorable = {
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "speed": "fast",
        "inference_geo": "eu",
        "diagnostics": {"previous_message_id": "msg_1"},
        "cache_control": {"type": "ephemeral"},
        "billing_policy": {"type": "x"},
        "fallback_credit_token": "t",
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "output_config": {"effort": "low", "task_budget": {"type": "tokens", "total": 10}},
        "betas": ["x"],
    }
    answer = post(engine.url, body(**ignorable))
    assert answer.status == HTTPStatus.OK
    assert answer.json["usage"]["service_tier"] == "standard"


@pytest.mark.clause("BETA-4", "REQ-16", "TOOL-15")
@pytest.mark.parametrize(
    "fields",
    [
        {"container": "c_1"},
        {"mcp_servers": [{"type": "url", "url": "http://h", "name": "n"}]},
        {"fallbacks": [{"model": "m"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    ],
)
def test_unsupported_fields_that_would_change_the_answer_are_refused(
    engine: ControllableEngine, fields: dict[str, object]
) -> None:
    named = next(iter(reversed(fields)))
    assert named.split("_", 1)[0] in refusal(post(engine.url, body(**fields)))


@pytest.mark.clause("BETA-4", "TOOL-11", "STR-1", "MOD-5")
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": True}]}, "tools"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "output_config.format"),
    ],
)
def test_constraints_that_the_engine_cannot_enforce_are_refused(fields: dict[str, object], path: str) -> None:
    engine = ScriptedEngine([Line("Well.")], model=MODEL, constrains=False)
    with live_registry(registry_of(engine, id=MODEL)) as url:
        assert refusal(post(url, body(**fields))).startswith(f"{path}: this server's engine cannot hold")
        assert get(url, f"/v1/models/{MODEL}").json["capabilities"]["structured_outputs"] == {"supported": False}
