"""Tests that the message which the SDK accumulates from a stream equals the unstreamed answer (SSE-20)."""

import json
from typing import Any

import pytest
from anthropic import Anthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import MODEL
from controllable_engine import ControllableEngine
from dragoman.engines.scripted import Line

CHUNKS = (0, 1, 3, 4, 7)
TOOLS: list[Any] = [
    {"name": "get_weather", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}},
    {"name": "now", "input_schema": {"type": "object"}},
]


def call(name: str, **arguments: Any) -> str:
    written = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{written}\n</tool_call>"


ULM = call("get_weather", place="Ulm")
NESTED = call("get_weather", place='a "b" \\ {c} </tool_call>', days=[1, 2.5, None, {"x": []}], when={"y": {"z": True}})
SCRIPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("Hello there.\n\nHow are you?", {}),
    "empty": ("", {}),
    "thinking": ("<think>\nhm, 1 < 2\n</think>\n\nYes.", {}),
    "thinking only": ("<think>\nhm\n</think>\n\n", {}),
    "unclosed thinking": ("<think>\nhm, and so on", {}),
    "call": (ULM, {}),
    "call without arguments": (call("now"), {}),
    "nested arguments": (NESTED, {}),
    "all kinds": (f"<think>hm</think>Let me see.\n{ULM}", {}),
    "several calls": (f"Both.\n{ULM}\n{call('now')}\n{ULM}", {}),
    "text after a call": (f"{ULM}\nThat is all.", {}),
    "one call only": (f"{ULM}\n{ULM}", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
    "unknown tool": (call("launch", code=1), {}),
    "broken call": ('<tool_call>\n{"name": "get_weather", "arguments": {"place": \n</tool_call>', {}),
    "unclosed call": ('<tool_call>\n{"name": "get_weather", "arguments": {"place": "U', {}),
    "no tools": (ULM, {"tools": []}),
    "no calls allowed": (ULM, {"tool_choice": {"type": "none"}}),
    "unicode": ("<think>Grüße 🦆</think>👩‍👩‍👧 中文 " + call("get_weather", place="Zürich 🏔 \u2028"), {}),
    "stop sequence": ("one, two, three", {"stop_sequences": [" three", "o, th", "zwei"]}),
    "stop sequence never complete": ("one, two, thre", {"stop_sequences": ["three"]}),
    "stop sequence in thinking": ("<think>STOP</think>go STOP on", {"stop_sequences": ["STOP"]}),
    "stop sequence at once": ("STOP", {"stop_sequences": ["STOP"]}),
    "cut in thinking": ("<think> a b c d e f </think> g", {"max_tokens": 4}),
    "cut in text": ("a b c d e f", {"max_tokens": 4}),
    "cut in a call": (call("get_weather", place="Ulm", days=3, note="a b c d"), {"max_tokens": 9}),
    "cut in a name": ('<tool_call>\n{"name": "get_ weather", "arguments": {}}\n</tool_call>', {"max_tokens": 3}),
    "cut by the model's limit": ("a b c", {"finish_reason": "length"}),
    "hidden thinking": (
        "<think>\na secret\n</think>\n\nYes.",
        {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}, "max_tokens": 2000},
    ),
}


def both(client: Anthropic, engine: ControllableEngine, line: Line, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer as the SDK accumulates the stream and as the server sends it unstreamed, without ids."""
    engine.line = line
    request = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi"}], "tools": TOOLS, **fields}
    with client.messages.stream(**request) as stream:
        streamed = stream.get_final_message()
    return plain(streamed), plain(client.messages.create(**request))


def plain(message: Any) -> dict[str, Any]:
    """The fields that were sent, without ids and the SDK's own `parsed_output`."""
    value: dict[str, Any] = message.model_dump(exclude={"id": True, "content": {"__all__": {"parsed_output"}}})
    return {**value, "content": [{**block, "id": None} for block in value["content"]]}


@pytest.mark.clause("SSE-20", "SSE-15", "RES-8", "STOP-3", "SSE-10")
@pytest.mark.parametrize(("output", "fields"), SCRIPTS.values(), ids=SCRIPTS.keys())
def test_the_stream_and_the_whole_message_are_equal_for_every_chunking(
    client: Anthropic, engine: ControllableEngine, output: str, fields: dict[str, Any]
) -> None:
    request = dict(fields)
    ending = request.pop("finish_reason", "stop")
    answers = []
    for chunk in CHUNKS:
        streamed, whole = both(client, engine, Line(output, finish_reason=ending, chunk=chunk), **request)
        assert streamed == whole
        answers.append((whole["content"], whole["stop_reason"], whole["stop_sequence"]))
    assert all(answer == answers[0] for answer in answers)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fragments = st.one_of(
    texts,
    st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", "\n", '{"name": "now"', "<|im_end|>", "STOP"]),
    texts.map(lambda text: f"<think>{text}</think>"),
    st.builds(lambda value: call("get_weather", place=value), values),
    st.just(call("now")),
)


@pytest.mark.clause("SSE-20")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.builds(Line, st.lists(fragments, max_size=6).map("".join), chunk=st.sampled_from(CHUNKS)),
    max_tokens=st.sampled_from([1, 3, 8, 1000]),
    stops=st.lists(st.sampled_from(["STOP", "a", "\n\n}", "</", "now"]).filter(str.strip), max_size=2),
)
def test_the_stream_and_the_whole_message_are_equal_whatever_the_model_writes(
    client: Anthropic, engine: ControllableEngine, line: Line, max_tokens: int, stops: list[str]
) -> None:
    streamed, whole = both(client, engine, line, max_tokens=max_tokens, stop_sequences=stops)
    assert streamed == whole
