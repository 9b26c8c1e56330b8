"""Answers that are not streamed: the message, its usage, its stop reason."""

import re
from http import HTTPStatus
from typing import Any

import pytest

from conftest import MODEL, Serve, body, user
from controllable_engine import ControllableEngine, until
from server.http import post
from server.test_count import CALL, RESULT, TOOL

THOUGHT = "<think>\nIt rains.\n</think>\n\n"
WEATHER = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'


def answer(url: str, **fields: Any) -> dict[str, Any]:
    response = post(url, body(**fields))
    assert response.status == HTTPStatus.OK, response.content
    message: dict[str, Any] = response.json
    return message


@pytest.mark.clause("RES-1", "RES-2", "USE-1", "USE-2", "USE-3")
def test_a_message_has_all_fields(engine: ControllableEngine) -> None:
    message = answer(engine.says("Hello there."))
    assert re.fullmatch(r"msg_[0-9a-zA-Z]{20,}", message.pop("id"))
    assert message["usage"].pop("input_tokens") > 0
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Hello there.", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
        "usage": {
            "output_tokens": 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens_details": {"thinking_tokens": 0},
            "server_tool_use": None,
            "service_tier": "standard",
            "inference_geo": None,
        },
    }


@pytest.mark.clause("RES-1", "TOOL-8")
def test_ids_are_unique(engine: ControllableEngine) -> None:
    url = engine.says(f"{WEATHER}\n{WEATHER}")
    messages = [answer(url, tools=[TOOL]) for _ in range(3)]
    calls = [block["id"] for message in messages for block in message["content"]]
    assert len({message["id"] for message in messages}) == len(messages)
    assert len(set(calls)) == len(calls) == 2 * len(messages)
    assert all(re.fullmatch(r"toolu_[0-9a-zA-Z]{20,}", call) for call in calls)


@pytest.mark.clause("RES-3")
@pytest.mark.parametrize("name", [MODEL, "small", "claude-opus-4-6[1m]"])
def test_the_model_is_the_name_the_client_asked_for(engine: ControllableEngine, name: str) -> None:
    assert answer(engine.url, model=name)["model"] == name


@pytest.mark.clause("RES-4")
@pytest.mark.parametrize(
    "output",
    [
        "",
        "\n",
        "<think>\n\n</think>\n\n",
    ],
)
def test_a_blank_answer_has_no_content(engine: ControllableEngine, output: str) -> None:
    message = answer(engine.says(output))
    assert message["content"] == []
    assert message["stop_reason"] == "end_turn"


@pytest.mark.clause("RES-5", "RES-6", "STOP-2", "USE-4", "TOOL-17")
def test_blocks_are_thinking_text_calls_in_this_order(engine: ControllableEngine) -> None:
    message = answer(engine.says(f"{THOUGHT}Let me see.\n{WEATHER}"), tools=[TOOL])
    thinking, text, call = message["content"]
    assert thinking.pop("signature")
    assert call.pop("id")
    assert thinking == {"type": "thinking", "thinking": "It rains."}
    assert text == {"type": "text", "text": "Let me see.", "citations": None}
    assert call == {"type": "tool_use", "name": "get_weather", "input": {"place": "Ulm"}, "caller": {"type": "direct"}}
    assert message["stop_reason"] == "tool_use"
    usage = message["usage"]
    assert 0 < usage["output_tokens_details"]["thinking_tokens"] < usage["output_tokens"]


@pytest.mark.clause("RES-8")
def test_an_answer_can_be_sent_back(engine: ControllableEngine) -> None:
    first = answer(engine.says(f"{THOUGHT}Let me see.\n{WEATHER}"), tools=[TOOL])
    result = RESULT | {"tool_use_id": first["content"][-1]["id"]}
    turns = [user("Weather?"), {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    second = post(engine.says("It rains in Ulm."), body(*turns, tools=[TOOL]))
    assert second.status == HTTPStatus.OK
    again = [*turns, {"role": "assistant", "content": second.json["content"]}, user("Thanks.")]
    assert post(engine.url, body(*again, tools=[TOOL])).status == HTTPStatus.OK


@pytest.mark.clause("RES-7")
@pytest.mark.parametrize(
    "output", [THOUGHT, THOUGHT + "a", WEATHER, "<tool_response>x</tool_response>", "<|tool|>{}", "[TOOL_CALLS]"]
)
def test_only_known_block_types_are_sent(engine: ControllableEngine, output: str) -> None:
    kinds = {block["type"] for block in answer(engine.says(output), tools=[TOOL])["content"]}
    assert kinds <= {"text", "thinking", "tool_use"}


@pytest.mark.clause("STOP-1", "STOP-7")
@pytest.mark.parametrize(
    ("output", "fields", "reason", "sequence"),
    [
        ("one two three", {}, "end_turn", None),
        ("one two three", {"max_tokens": 2}, "max_tokens", None),
        ("one two three", {"stop_sequences": ["two", "zwei"]}, "stop_sequence", "two"),
        (WEATHER, {"tools": [TOOL]}, "tool_use", None),
    ],
)
def test_each_ending_has_its_stop_reason(
    engine: ControllableEngine, output: str, fields: dict[str, Any], reason: str, sequence: str | None
) -> None:
    message = answer(engine.says(output), **fields)
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)


@pytest.mark.clause("SEQ-1")
@pytest.mark.parametrize("chunk", [0, 1, 2, 3, 5])
def test_the_text_ends_before_the_stop_sequence(engine: ControllableEngine, chunk: int) -> None:
    message = answer(engine.says("A list: one, two, three", chunk=chunk), stop_sequences=[", thr", ", t"])
    assert message["content"][0]["text"] == "A list: one"
    assert message["stop_sequence"] == ", t"


@pytest.mark.clause("STOP-2", "STOP-3")
def test_only_an_answer_with_a_call_ends_in_tool_use(engine: ControllableEngine) -> None:
    assert answer(engine.says(f"Well. {WEATHER}"), tools=[TOOL])["stop_reason"] == "tool_use"
    assert answer(engine.says(WEATHER))["stop_reason"] == "end_turn"
    assert answer(engine.says(WEATHER.replace("get_weather", "launch")), tools=[TOOL])["stop_reason"] == "end_turn"


@pytest.mark.clause("STOP-3")
def test_a_cut_call_keeps_the_arguments_read_so_far(engine: ControllableEngine) -> None:
    long = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm", "days": 3, "note": "a b c d e f"}}\n</tool_call>'
    message = answer(engine.says(long), tools=[TOOL], max_tokens=10)
    assert message["stop_reason"] == "max_tokens"
    assert [(block["type"], block["input"]) for block in message["content"]] == [("tool_use", {"place": "Ulm", "days": 3})]


@pytest.mark.clause("STOP-6", "REQ-4")
def test_an_answer_that_fills_the_window_reports_it(serve: Serve) -> None:
    url = serve("word " * 500, window=300)
    message = answer(url, max_tokens=100_000)
    assert message["stop_reason"] == "model_context_window_exceeded"
    assert message["usage"]["input_tokens"] + message["usage"]["output_tokens"] == 300
    assert answer(url, max_tokens=10)["stop_reason"] == "max_tokens"


@pytest.mark.clause("REQ-2", "USE-4")
def test_max_tokens_caps_thinking_and_text_together(engine: ControllableEngine) -> None:
    message = answer(engine.says("<think> a b c </think> d e f"), max_tokens=6)
    assert message["usage"]["output_tokens"] == 6
    assert [block["type"] for block in message["content"]] == ["thinking", "text"]


@pytest.mark.clause("REQ-3")
def test_a_prewarm_processes_the_prompt_and_generates_nothing(engine: ControllableEngine) -> None:
    message = answer(engine.says("never sent"), max_tokens=0)
    assert (message["content"], message["stop_reason"], message["usage"]["output_tokens"]) == ([], "max_tokens", 0)
    assert message["usage"]["input_tokens"] > 0


@pytest.mark.clause("PRE-1", "PRE-2")
def test_a_prefill_is_continued_and_not_repeated(engine: ControllableEngine) -> None:
    response = post(engine.says(" three, four"), body(user("Count."), {"role": "assistant", "content": "one, two,"}))
    assert "three, four" in response.json["content"][0]["text"]
    assert "two" not in response.json["content"][0]["text"]


@pytest.mark.clause("USE-5")
def test_cached_tokens_are_subtracted_from_the_input(engine: ControllableEngine) -> None:
    engine.cached = 7
    usage = answer(engine.url)["usage"]
    engine.cached = 0
    whole = answer(engine.url)["usage"]
    assert usage["cache_read_input_tokens"] == 7
    assert usage["input_tokens"] + 7 == whole["input_tokens"]


@pytest.mark.clause("CC-7")
def test_a_client_that_repeats_without_a_stream_gets_the_same_message(engine: ControllableEngine) -> None:
    url = engine.says(f"{THOUGHT}Let me see.\n{WEATHER}")
    streamed = post(url, body(tools=[TOOL], stream=True), "/v1/messages?beta=true").events
    whole = answer(url, tools=[TOOL])
    started = [event["content_block"]["type"] for event in streamed if event["type"] == "content_block_start"]
    assert started == [block["type"] for block in whole["content"]]
    assert streamed[-2]["usage"] == whole["usage"]
    assert streamed[-2]["delta"]["stop_reason"] == whole["stop_reason"]


@pytest.mark.clause("IN-7", "IN-8", "IN-9", "IN-11", "CC-7")
def test_an_agents_history_is_accepted(engine: ControllableEngine) -> None:
    turns = [
        user("Weather?"),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "another server"},
                {"type": "redacted_thinking", "data": "xyz"},
                CALL,
                CALL | {"id": "toolu_2"},
            ],
        },
        {"role": "user", "content": [RESULT, {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True}]},
    ]
    assert post(engine.url, body(*turns, tools=[TOOL])).status == HTTPStatus.OK


@pytest.mark.clause("THK-1", "THK-4")
@pytest.mark.parametrize(
    "thinking", [{"type": "adaptive"}, {"type": "adaptive", "display": "summarized"}, {"type": "disabled"}]
)
def test_a_model_without_reasoning_ignores_thinking_settings(engine: ControllableEngine, thinking: dict[str, Any]) -> None:
    assert answer(engine.url, thinking=thinking)["content"][0]["text"] == "Hello there."


@pytest.mark.clause("CACHE-4")
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_reports_where_its_prompt_diverged(
    engine: ControllableEngine, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level("INFO", "dragoman.request")
    url = engine.says("Hello there.")
    request = body(messages=[user(f"Where does it break, {stream}?")], stream=stream)
    first, again, changed = (post(url, request | {"system": system}) for system in ("One äh.", "One äh.", "Two ö\x00h."))
    assert not {"dragoman-diverged"} & (first.headers.keys() | again.headers.keys())
    place = changed.headers["dragoman-diverged"]
    assert re.fullmatch(r'token \d+ of \d+: system block 1, ".*Two \\xf6\\x00h\..*"', place)
    until(lambda: "diverged at token 1 of" in caplog.text)
