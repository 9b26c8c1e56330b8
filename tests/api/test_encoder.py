"""The encoder of the Messages API: from parts to legal events."""

import msgspec
import pytest
from hypothesis import given, settings

from dragoman.api.anthropic.encoder import IllegalPart, MessageEncoder
from dragoman.api.anthropic.events import (
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    Event,
    FinalDelta,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from dragoman.api.anthropic.fold import fold
from dragoman.api.anthropic.message import MessageOut, OutputDetails, TextOut, ThinkingOut, ToolUseOut, Usage
from dragoman.api.anthropic.server_blocks import ServerToolUseOut, ToolSearchResultOut, WebFetchResultOut, WebSearchResultOut
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    ServerCallStart,
    ServerResult,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)
from dragoman.parts.server_tools import McpContent, SearchHits, ServerToolKind

from .part_sequences import assert_blocks_are_whole, encode, legal_parts
from .sdk import beta_collected, beta_streamed, streamed

ENDING = Ending(StopReason.END_TURN, TokenCounts(10, 4, 3, 2))
END = [
    MessageDelta(
        FinalDelta("end_turn"),
        Usage(input_tokens=6, output_tokens=3, cache_read_input_tokens=4, output_tokens_details=OutputDetails(2)),
    ),
    MessageStop(),
]

PARTS: dict[str, Part] = {
    "prefill": Prefill(10, 4, 10),
    "thinking": Thinking("hm"),
    "thinking's end": ThinkingEnd("sig"),
    "text": Text("hi"),
    "call": CallStart("f", "toolu_1"),
    "arguments": CallDelta("{}"),
    "call's end": CallEnd(),
    "server's call": ServerCallStart(ServerToolKind.WEB_SEARCH, "web_search", "srvtoolu_dgm1"),
    "result": ServerResult(ServerToolKind.WEB_SEARCH, "srvtoolu_dgm1", SearchHits(())),
    "ending": ENDING,
}

STATES: dict[str, list[Part]] = {
    "between blocks": [],
    "in thinking": [PARTS["thinking"]],
    "in text": [PARTS["text"]],
    "in a call": [PARTS["call"]],
    "in a server's call": [PARTS["server's call"]],
    "after a server's call": [PARTS["server's call"], PARTS["call's end"]],
    "after the end": [PARTS["ending"]],
}


def _text(index: int) -> list[Event]:
    return [ContentBlockStart(index, TextOut()), ContentBlockDelta(index, TextDelta("hi"))]


def _thinking(index: int) -> list[Event]:
    return [ContentBlockStart(index, ThinkingOut()), ContentBlockDelta(index, ThinkingDelta("hm"))]


def _signature(index: int) -> list[Event]:
    return [ContentBlockDelta(index, SignatureDelta("sig")), ContentBlockStop(index)]


def _call(index: int) -> list[Event]:
    return [ContentBlockStart(index, ToolUseOut("toolu_1", "f")), ContentBlockDelta(index, InputJsonDelta(""))]


def _server_call(index: int) -> list[Event]:
    start = ContentBlockStart(index, ServerToolUseOut("srvtoolu_dgm1", "web_search"))
    return [start, ContentBlockDelta(index, InputJsonDelta(""))]


LEGAL: dict[tuple[str, str], list[Event]] = {
    ("between blocks", "prefill"): [],
    ("between blocks", "thinking"): _thinking(0),
    ("between blocks", "thinking's end"): [ContentBlockStart(0, ThinkingOut()), *_signature(0)],
    ("between blocks", "text"): _text(0),
    ("between blocks", "call"): _call(0),
    ("between blocks", "ending"): END,
    ("in thinking", "prefill"): [],
    ("in thinking", "thinking"): [ContentBlockDelta(0, ThinkingDelta("hm"))],
    ("in thinking", "thinking's end"): _signature(0),
    ("in text", "prefill"): [],
    ("in a call", "prefill"): [],
    ("in text", "text"): [ContentBlockDelta(0, TextDelta("hi"))],
    ("in text", "thinking"): [ContentBlockStop(0), *_thinking(1)],
    ("in text", "thinking's end"): [ContentBlockStop(0), ContentBlockStart(1, ThinkingOut()), *_signature(1)],
    ("in text", "call"): [ContentBlockStop(0), *_call(1)],
    ("in text", "ending"): [ContentBlockStop(0), *END],
    ("in a call", "arguments"): [ContentBlockDelta(0, InputJsonDelta("{}"))],
    ("in a call", "call's end"): [ContentBlockStop(0)],
    ("between blocks", "server's call"): _server_call(0),
    ("in text", "server's call"): [ContentBlockStop(0), *_server_call(1)],
    ("in a server's call", "prefill"): [],
    ("in a server's call", "arguments"): [ContentBlockDelta(0, InputJsonDelta("{}"))],
    ("in a server's call", "call's end"): [ContentBlockStop(0)],
    ("after a server's call", "result"): [
        ContentBlockStart(1, WebSearchResultOut("srvtoolu_dgm1", [])),
        ContentBlockStop(1),
    ],
    ("after a server's call", "prefill"): [],
    ("after a server's call", "thinking"): _thinking(1),
    ("after a server's call", "thinking's end"): [ContentBlockStart(1, ThinkingOut()), *_signature(1)],
    ("after a server's call", "text"): _text(1),
    ("after a server's call", "call"): _call(1),
    ("after a server's call", "server's call"): _server_call(1),
}


def _encoder_in(state: str) -> MessageEncoder:
    encoder = MessageEncoder("msg_1", "m")
    encoder.start(TokenCounts(10))
    for part in STATES[state]:
        encoder.encode(part)
    return encoder


@pytest.mark.clause("SSE-7", "SSE-8", "SSE-9", "SSE-11", "SSE-12", "SSE-14", "SSE-16", "THK-8")
@pytest.mark.parametrize(("state", "part"), LEGAL, ids=" ".join)
def test_a_legal_part_becomes_exactly_these_events(state: str, part: str) -> None:
    assert _encoder_in(state).encode(PARTS[part]) == LEGAL[state, part]


@pytest.mark.clause("SSE-7", "SSE-9", "SSE-16")
@pytest.mark.parametrize(("state", "part"), [(s, p) for s in STATES for p in PARTS if (s, p) not in LEGAL], ids=" ".join)
def test_an_illegal_part_raises_and_does_not_change_the_state(state: str, part: str) -> None:
    encoder = _encoder_in(state)
    with pytest.raises(IllegalPart, match=type(PARTS[part]).__name__):
        encoder.encode(PARTS[part])
    for (from_state, then), events in LEGAL.items():
        if from_state == state:
            assert encoder.encode(PARTS[then]) == events
            break


@pytest.mark.clause("SSE-4")
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_no_part_is_legal_before_the_start(part: Part) -> None:
    with pytest.raises(IllegalPart):
        MessageEncoder("msg_1", "m").encode(part)


@pytest.mark.clause("SSE-4")
@pytest.mark.parametrize("state", STATES)
def test_a_message_cannot_start_twice(state: str) -> None:
    encoder = _encoder_in(state)
    with pytest.raises(IllegalPart):
        encoder.start(TokenCounts(10))


@pytest.mark.clause("SSE-4", "SSE-5", "USE-1", "USE-2", "USE-5", "RES-3")
def test_the_start_is_a_complete_empty_message_with_the_counts_known_so_far() -> None:
    assert MessageEncoder("msg_1", "claude-x").start(TokenCounts(10, 4)) == [
        MessageStart(
            MessageOut(
                id="msg_1",
                model="claude-x",
                content=[],
                usage=Usage(input_tokens=6, output_tokens=1, cache_creation_input_tokens=0, cache_read_input_tokens=4),
                stop_reason=None,
                stop_sequence=None,
            )
        )
    ]


@pytest.mark.clause("STOP-1", "SEQ-1", "SSE-14")
@pytest.mark.parametrize("reason", StopReason)
def test_the_ending_has_its_reason_in_the_spelling_of_the_api(reason: StopReason) -> None:
    matched = "STOP" if reason is StopReason.STOP_SEQUENCE else None
    assert encode([Ending(reason, TokenCounts(10, 4, 3, 2), matched)])[1:] == [
        MessageDelta(FinalDelta(reason.value, matched), END[0].usage),  # type: ignore[attr-defined]
        MessageStop(),
    ]


@pytest.mark.clause("SSE-4", "SSE-7", "SSE-8", "SSE-9", "SSE-12", "SSE-14", "SSE-16")
@settings(deadline=None)
@given(legal_parts())
def test_any_legal_sequence_of_parts_gives_a_legal_stream(parts: list[Part]) -> None:
    events = encode(parts)
    kinds = [type(event) for event in events]

    assert kinds[0] is MessageStart
    assert kinds[-2:] == [MessageDelta, MessageStop]
    assert kinds.count(MessageStart) == kinds.count(MessageDelta) == kinds.count(MessageStop) == 1
    assert_blocks_are_whole(events)

    suits = {
        TextOut: {TextDelta},
        ThinkingOut: {ThinkingDelta, SignatureDelta},
        ToolUseOut: {InputJsonDelta},
        ServerToolUseOut: {InputJsonDelta},
        WebSearchResultOut: set(),
        WebFetchResultOut: set(),
        ToolSearchResultOut: set(),
    }
    blocks = [event.content_block for event in events if isinstance(event, ContentBlockStart)]
    deltas = [event for event in events if isinstance(event, ContentBlockDelta)]
    for index, block in enumerate(blocks):
        own = [event.delta for event in deltas if event.index == index]
        assert {type(delta) for delta in own} <= suits[type(block)]
        match block:
            case TextOut():
                assert block == TextOut()
            case ThinkingOut():
                assert block == ThinkingOut()
                assert [type(delta) for delta in own].index(SignatureDelta) == len(own) - 1
            case ToolUseOut() | ServerToolUseOut():
                assert block.input == {}
                assert own[0] == InputJsonDelta("")


@pytest.mark.clause("TOOL-15")
def test_a_call_of_an_mcp_server_and_its_result_are_blocks_of_the_beta_types() -> None:
    events = encode(
        [
            ServerCallStart(ServerToolKind.MCP, "forecast", "mcptoolu_dgm1", "weather"),
            CallDelta('{"city": "Oslo"}'),
            CallEnd(),
            ServerResult(ServerToolKind.MCP, "mcptoolu_dgm1", McpContent(("Rain", "Snow"), is_error=True)),
            Ending(StopReason.END_TURN, TokenCounts(10)),
        ]
    )
    message = beta_streamed(events)
    assert message.to_dict()["content"] == beta_collected(msgspec.json.encode(fold(events))).to_dict()["content"]
    assert message.to_dict()["content"] == [
        {
            "type": "mcp_tool_use",
            "id": "mcptoolu_dgm1",
            "name": "forecast",
            "server_name": "weather",
            "input": {"city": "Oslo"},
        },
        {
            "type": "mcp_tool_result",
            "tool_use_id": "mcptoolu_dgm1",
            "content": [{"type": "text", "text": text, "citations": None} for text in ("Rain", "Snow")],
            "is_error": True,
        },
    ]


@pytest.mark.clause("RES-6", "STOP-2", "SSE-20")
def test_reasoning_text_and_two_calls_become_the_message_that_the_sdk_reads() -> None:
    message = streamed(
        encode(
            [
                Prefill(10, 4, 10),
                Thinking("Let me "),
                Thinking("see."),
                ThinkingEnd("sig"),
                Text("I will "),
                Text("look."),
                CallStart("read", "toolu_1"),
                CallDelta('{"path": "/'),
                CallDelta('etc/hosts"}'),
                CallEnd(),
                CallStart("now", "toolu_2"),
                CallEnd(),
                Ending(StopReason.TOOL_USE, TokenCounts(10, 4, 9, 2)),
            ]
        )
    )
    assert message.to_dict() == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": "sig"},
            {"type": "text", "text": "I will look.", "citations": None},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "read",
                "input": {"path": "/etc/hosts"},
                "caller": {"type": "direct"},
            },
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}, "caller": {"type": "direct"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "diagnostics": None,
        "usage": {
            "input_tokens": 6,
            "output_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens_details": {"thinking_tokens": 2},
            "server_tool_use": None,
            "service_tier": "standard",
            "inference_geo": None,
        },
    }
