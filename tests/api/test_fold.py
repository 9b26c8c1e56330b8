"""Folding events into a message, compared with the SDK's own accumulator."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from dragoman.api.anthropic.events import MessageDelta, MessageStart
from dragoman.api.anthropic.fold import fold
from dragoman.api.anthropic.message import MessageOut, TextOut, ToolUseOut, Usage
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, StopReason, Text, TokenCounts

from .part_sequences import encode, legal_parts
from .sdk import collected, streamed

CUT = Ending(StopReason.MAX_TOKENS, TokenCounts(7, 0, 5))


@pytest.mark.clause("SSE-20", "RES-1", "RES-2", "RES-8", "USE-1", "SSE-10", "SSE-12", "SSE-15", "STOP-3")
@given(legal_parts())
def test_the_streamed_message_equals_the_folded_one_for_any_parts(parts: list[Part]) -> None:
    events = encode(parts)
    message = fold(events)

    assert streamed(events).to_dict() == collected(msgspec.json.encode(message)).to_dict() == msgspec.to_builtins(message)


@pytest.mark.clause("STOP-3", "SSE-10", "TOOL-17")
@pytest.mark.parametrize("end", range(len('{"a": "x\\n", "b": [1, true, {"c": null}], "d": -1.5e3}') + 1))
def test_a_call_cut_anywhere_has_the_input_that_the_sdk_accumulates(end: int) -> None:
    arguments = '{"a": "x\\n", "b": [1, true, {"c": null}], "d": -1.5e3}'[:end]
    events = encode([CallStart("f", "toolu_1"), CallDelta(arguments), CallEnd(complete=False), CUT])

    (call,) = fold(events).content
    assert isinstance(call, ToolUseOut)
    assert [call.input] == [block.input for block in streamed(events).content if block.type == "tool_use"]


@pytest.mark.clause("TOOL-17", "SSE-10")
@pytest.mark.parametrize(
    "arguments", [{"n": 10**30}, {"deep": json.loads("[" * 100 + "]" * 100)}, {"\u2028": "\U0001f98a\x00"}, {"": 1e300}]
)
def test_arguments_of_any_size_and_shape_are_unchanged(arguments: dict[str, Any]) -> None:
    events = encode([CallStart("f", "toolu_1"), CallDelta(json.dumps(arguments)), CallEnd(), CUT])

    body = msgspec.json.encode(fold(events))

    assert json.loads(body)["content"][0]["input"] == arguments
    assert streamed(events).to_dict() == collected(body).to_dict()


@pytest.mark.clause("SSE-2", "SSE-20")
def test_no_character_in_a_text_ends_a_line_of_the_stream() -> None:
    text = "a\r\nb\rc\nd\x0be\x0cf\x1cg\x85h\u2028i\u2029j\x00k"
    assert [block.to_dict() for block in streamed(encode([Text(text), CUT])).content] == [
        {"type": "text", "text": text, "citations": None}
    ]


@pytest.mark.clause("RES-4", "REQ-3")
def test_an_empty_generation_is_a_message_without_content() -> None:
    assert fold(encode([Ending(StopReason.MAX_TOKENS, TokenCounts(7))])) == MessageOut(
        id="msg_1", model="m", content=[], usage=Usage(7, 0), stop_reason="max_tokens"
    )


@pytest.mark.clause("SSE-15", "USE-1")
def test_the_final_counts_are_the_counts_of_the_message() -> None:
    message = fold(encode([Text("Hi"), Ending(StopReason.STOP_SEQUENCE, TokenCounts(9, 5, 4), "!")], prompt=9))
    assert message == MessageOut(
        id="msg_1",
        model="m",
        content=[TextOut("Hi")],
        usage=Usage(4, 4, cache_read_input_tokens=5),
        stop_reason="stop_sequence",
        stop_sequence="!",
    )


@pytest.mark.clause("SSE-18")
@pytest.mark.parametrize("missing", [MessageStart, MessageDelta])
def test_a_stream_without_its_start_or_its_end_raises(missing: type) -> None:
    events = [event for event in encode([Text("Hi"), CUT]) if not isinstance(event, missing)]
    with pytest.raises(ValueError, match="the beginning and the end"):
        fold(events)
