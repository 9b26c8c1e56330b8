"""Hypothesis strategies for all legal sequences of parts, and checks for the events that the encoder makes of them."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from hypothesis import strategies as st

from dragoman.api.anthropic.encoder import MessageEncoder
from dragoman.api.anthropic.events import ContentBlockDelta, ContentBlockStart, ContentBlockStop, Event
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    ServerCallStart,
    ServerResult,
    ServerToolUses,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)
from dragoman.parts.server_tools import FetchedPage, FoundTools, SearchHit, SearchHits, ServerToolKind, ToolFailure

_WORDS = st.text(min_size=1, max_size=8)
_COUNTS = st.integers(0, 10_000)
_NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _thinking(draw: st.DrawFn) -> list[Part]:
    return [*map(Thinking, draw(st.lists(_WORDS, max_size=3))), ThinkingEnd(draw(_NAMES))]


@st.composite
def _call(draw: st.DrawFn) -> list[Part]:
    """A call in pieces, with arguments that are whole or cut anywhere, in any JSON notation."""
    arguments = json.dumps(
        draw(st.dictionaries(st.text(max_size=4), _JSON, max_size=3)),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1])),
    )
    complete = draw(st.booleans())
    if not complete:
        arguments = arguments[: draw(st.integers(0, len(arguments)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=4)))
    pieces = [arguments[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
    start = CallStart(draw(_NAMES), f"toolu_{draw(_NAMES)}")
    return [start, *map(CallDelta, pieces), CallEnd(complete)]


_SHORT = st.text(max_size=4)
_OUTPUTS = {
    ServerToolKind.WEB_SEARCH: st.builds(
        SearchHits, st.lists(st.builds(SearchHit, _WORDS, _WORDS, _WORDS, _SHORT), max_size=3).map(tuple)
    ),
    ServerToolKind.WEB_FETCH: st.builds(FetchedPage, _WORDS, _SHORT, _WORDS, st.booleans(), _SHORT, st.booleans()),
    ServerToolKind.TOOL_SEARCH: st.builds(FoundTools, st.lists(_NAMES, max_size=3).map(tuple)),
}
"""The kinds that the SDK knows without beta types."""
_CALLED = {"web_search": "web_search", "web_fetch": "web_fetch", "tool_search": "tool_search_tool_regex"}
_ERRORS = ["invalid_tool_input", "unavailable", "too_many_requests"]


@st.composite
def _answered_call(draw: st.DrawFn, identifier: str) -> tuple[list[Part], ServerResult]:
    """A call of a server tool, and its result."""
    kind = draw(st.sampled_from(list(_OUTPUTS)))
    output = draw(_OUTPUTS[kind] | st.builds(ToolFailure, st.just(kind), st.sampled_from(_ERRORS)))
    call = [ServerCallStart(kind, _CALLED[kind], identifier), *draw(_call())[1:]]
    return call, ServerResult(kind, identifier, output)


@st.composite
def _server_calls(draw: st.DrawFn) -> list[Part]:
    """Calls of server tools, possibly with a call of a tool of the client between them, and their results."""
    ids = draw(st.lists(_NAMES.map("srvtoolu_dgm{}".format), min_size=1, max_size=3, unique=True))
    answered = [draw(_answered_call(name)) for name in ids]
    others = draw(st.lists(_call(), max_size=1))
    calls = [*(call for call, _ in answered), *others]
    return [*(part for call in calls for part in call), *(result for _, result in answered)]


_TALLIES = st.builds(
    lambda new, cached, output, thought: TokenCounts(new + cached, cached, output + thought, thought), *[_COUNTS] * 4
)
_SPANS = st.one_of(
    st.builds(lambda text: [Text(text)], _WORDS),
    st.builds(lambda total, cached, done: [Prefill(total, cached, done)], *[_COUNTS] * 3),
    _thinking(),
    _call(),
)
_USES = st.none() | st.builds(ServerToolUses, st.integers(0, 9), st.integers(0, 9))


@st.composite
def legal_parts(draw: st.DrawFn, *, server_tools: bool = True) -> list[Part]:
    """Any sequence that an answer may produce, with its `Ending` last."""
    spans = draw(st.lists(_SPANS | _server_calls() if server_tools else _SPANS, max_size=8))
    reason = draw(st.sampled_from([reason for reason in StopReason if reason is not StopReason.COMPACTION]))  # a beta's
    matched = draw(_WORDS) if reason is StopReason.STOP_SEQUENCE else None
    return [*(part for span in spans for part in span), Ending(reason, draw(_TALLIES), matched, draw(_USES))]


def encode(parts: Iterable[Part], prompt: int = 7) -> list[Event]:
    """All events of a message."""
    encoder = MessageEncoder("msg_1", "m")
    return [*encoder.start(TokenCounts(prompt)), *(event for part in parts for event in encoder.encode(part))]


def assert_blocks_are_whole(events: Sequence[Event]) -> None:
    """Check that blocks have the indices 0, 1, 2, ..., and that each one stops before the next one starts (SSE-7)."""
    of_blocks = [event for event in events if isinstance(event, ContentBlockStart | ContentBlockDelta | ContentBlockStop)]
    blocks = [(index, [type(event) for event in block]) for index, block in groupby(of_blocks, key=lambda event: event.index)]
    assert [index for index, _ in blocks] == list(range(len(blocks)))
    for _, kinds in blocks:
        assert kinds[0] is ContentBlockStart
        assert kinds[-1] is ContentBlockStop
        assert set(kinds[1:-1]) <= {ContentBlockDelta}
