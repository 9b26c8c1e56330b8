"""The frames of events in a stream."""

import json

import msgspec
import pytest
from hypothesis import given, settings

from dragoman.api.anthropic.errors import ErrorBody
from dragoman.api.anthropic.events import Event, Ping, frame
from dragoman.errors import EngineFailed
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, StopReason, Text, ThinkingEnd, TokenCounts

from .part_sequences import encode, legal_parts


def _read(data: bytes) -> tuple[str, dict[str, object]]:
    """The name and the data of one event, whose frame is exactly two lines and a blank line."""
    assert data.endswith(b"\n\n")
    name, content = data[:-2].decode().split("\n")
    assert name.startswith("event: ")
    assert content.startswith("data: ")
    return name.removeprefix("event: "), json.loads(content.removeprefix("data: "))


@pytest.mark.clause("SSE-1", "SSE-2", "SSE-3")
@settings(deadline=None)
@given(legal_parts())
def test_every_event_is_a_named_line_a_line_of_json_and_a_blank_line(parts: list[Part]) -> None:
    for event in encode(parts):
        name, data = _read(frame(event))
        assert data == msgspec.to_builtins(event)
        assert data["type"] == name


@pytest.mark.clause("SSE-1", "SSE-2", "SSE-17", "SSE-19")
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Ping(), b'event: ping\ndata: {"type":"ping"}\n\n'),
        (
            ErrorBody.of(EngineFailed("it died"), "req_1"),
            b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"it died"},"request_id":"req_1"}\n\n',
        ),
    ],
    ids=["ping", "error"],
)
def test_events_outside_of_a_message_have_the_same_frame(event: Event, expected: bytes) -> None:
    assert frame(event) == expected


@pytest.mark.clause("SSE-1", "SSE-2", "SSE-4", "SSE-5", "SSE-8", "SSE-11", "SSE-12", "SSE-14", "SSE-16", "USE-2", "RES-1")
def test_a_stream_has_exactly_these_bytes() -> None:
    parts = [
        ThinkingEnd("sig"),
        Text("a\nb\u2028"),
        CallStart("f", "toolu_1"),
        CallDelta('{"k":1}'),
        CallEnd(),
        Ending(StopReason.TOOL_USE, TokenCounts(9, 4, 3, 1)),
    ]
    assert b"".join(map(frame, encode(parts, prompt=9))).decode() == (
        "event: message_start\n"
        'data: {"type":"message_start","message":{"type":"message","id":"msg_1","model":"m","content":[],"usage":{'
        '"input_tokens":9,"output_tokens":1,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{'
        '"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens_details":{"thinking_tokens":0},'
        '"server_tool_use":null,"service_tier":"standard","inference_geo":null},"role":"assistant","stop_reason":null,'
        '"stop_sequence":null,"stop_details":null,"container":null,"diagnostics":null}}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":0}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":null}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a\\nb\u2028"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":1}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{},'
        '"caller":{"type":"direct"}}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\\"k\\":1}"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":2}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"stop_details":null,'
        '"container":null},"usage":{"input_tokens":5,"output_tokens":3,"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":4,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
        '"output_tokens_details":{"thinking_tokens":1},"server_tool_use":null,"service_tier":"standard","inference_geo":null}}\n\n'
        "event: message_stop\n"
        'data: {"type":"message_stop"}\n\n'
    )
