"""Token counts equal the input of the same request."""

from http import HTTPStatus
from typing import Any

import pytest

from conftest import Serve, body, user
from controllable_engine import ControllableEngine
from server.http import count, post

TOOL = {
    "name": "get_weather",
    "description": "Weather of a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"place": "Ulm"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]}
SHAPES: dict[str, dict[str, Any]] = {
    "a word": body(),
    "blocks": body({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b c"}]}),
    "unicode": body(user("Grüße 🦆 \u202e 中文")),
    "special tokens in text": body(user("<|im_end|>\n<|im_start|>system <think> <tool_call>")),
    "system string": body(system="You are a duck."),
    "system blocks": body(system=[{"type": "text", "text": "You are", "cache_control": {"type": "ephemeral"}}]),
    "tools": body(tools=[TOOL]),
    "tools and choice": body(tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    "tools, but none allowed": body(tools=[TOOL], tool_choice={"type": "none"}),
    "tool history": body(
        user("?"), {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]}, tools=[TOOL]
    ),
    "tool history without tools": body(
        user("?"), {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]}
    ),
    "thinking history": body(
        user("?"),
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "y"}],
        },
        user("!"),
    ),
    "thinking": body(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000),
    "no thinking": body(thinking={"type": "disabled"}),
    "prefill": body(user("Count"), {"role": "assistant", "content": "one, two,"}),
    "empty prefill": body(user("Count"), {"role": "assistant", "content": ""}),
    "late system": body(
        user("a"), {"role": "assistant", "content": "b"}, user("c"), {"role": "system", "content": "Be brief."}
    ),
    "same role twice": body(user("a"), user("b"), {"role": "assistant", "content": "c"}, user("d")),
    "prewarm": body(max_tokens=0),
}


@pytest.mark.clause("CNT-1", "CNT-2", "USE-1")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_count_is_the_sum_of_the_input_of_the_same_request(engine: ControllableEngine, shape: dict[str, Any]) -> None:
    usage = post(engine.url, shape).json["usage"]
    total = usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
    assert count(engine.url, shape) == total > 0


@pytest.mark.clause("CNT-1")
def test_only_model_and_messages_are_needed(engine: ControllableEngine) -> None:
    answer = post(engine.url, {"model": "scripted", "messages": [user("Hi")]}, "/v1/messages/count_tokens")
    assert answer.status == HTTPStatus.OK
    missing = post(engine.url, {"model": "scripted"}, "/v1/messages/count_tokens")
    assert missing.error == ("invalid_request_error", "messages: Field required")


@pytest.mark.clause("CNT-2")
def test_system_tools_and_history_count(engine: ControllableEngine) -> None:
    bare = count(engine.url, body())
    for name in ("system string", "tools", "tool history", "prefill", "late system"):
        assert count(engine.url, SHAPES[name]) > bare


@pytest.mark.clause("CNT-3", "CACHE-1")
def test_breakpoints_do_not_count(engine: ControllableEngine) -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    text = {"type": "text", "text": "word"}
    plain = body({"role": "user", "content": [text]}, system=[text], tools=[TOOL])
    marked = body(
        {"role": "user", "content": [text | mark]},
        system=[text | mark],
        tools=[TOOL | mark],
        cache_control={"type": "ephemeral"},
    )
    assert count(engine.url, plain) == count(engine.url, marked)


@pytest.mark.clause("CNT-3")
@pytest.mark.parametrize(
    "fields",
    [{"messages": []}, {"tools": [{"name": "a b", "input_schema": {}}]}, {"thread": {"type": "create"}}, {"model": "unknown"}],
)
def test_counting_refuses_what_generating_refuses(engine: ControllableEngine, fields: dict[str, Any]) -> None:
    counted, generated = post(engine.url, body(**fields), "/v1/messages/count_tokens"), post(engine.url, body(**fields))
    assert counted.status >= HTTPStatus.BAD_REQUEST
    assert (counted.status, counted.error) == (generated.status, generated.error)


@pytest.mark.clause("CNT-4")
def test_fields_that_only_generating_needs_are_accepted(engine: ControllableEngine) -> None:
    whole = body(stream=True, stop_sequences=["x"], temperature=0.5, metadata={"user_id": "u"})
    assert count(engine.url, whole) == count(engine.url, body())
    answer = post(engine.url, whole, "/v1/messages/count_tokens", anthropic_beta="token-counting-2024-11-01")
    assert answer.status == HTTPStatus.OK


@pytest.mark.clause("CC-4")
def test_the_billing_line_of_claude_code_does_not_change_the_count(engine: ControllableEngine) -> None:
    line = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=5f3a2;"}
    prompt = {"type": "text", "text": "You are Claude Code."}
    without = count(engine.url, body(system=[prompt]))
    assert count(engine.url, body(system=[line, prompt])) == without
    assert post(engine.url, body(system=[line, prompt])).json["usage"]["input_tokens"] == without
    assert count(engine.url, body(system=[prompt, line])) > without
    touched = {"type": "text", "text": line["text"] + "\nYou are Claude Code."}
    assert count(engine.url, body(system=[touched])) > without


@pytest.mark.clause("CNT-2")
def test_a_prompt_longer_than_the_window_can_be_counted(serve: Serve) -> None:
    assert count(serve(window=100), body(user("word " * 500))) > 500
