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
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)

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


_TALLIES = st.builds(
    lambda new, cached, output, thought: TokenCounts(new + cached, cached, output + thought, thought), *[_COUNTS] * 4
)
_SPANS = st.one_of(
    st.builds(lambda text: [Text(text)], _WORDS),
    st.builds(lambda total, cached, done: [Prefill(total, cached, done)], *[_COUNTS] * 3),
    _thinking(),
    _call(),
)


@st.composite
def legal_parts(draw: st.DrawFn) -> list[Part]:
    """Any sequence that a generation may produce, with its `Ending` last."""
    spans = draw(st.lists(_SPANS, max_size=8))
    reason = draw(st.sampled_from(StopReason))
    matched = draw(_WORDS) if reason is StopReason.STOP_SEQUENCE else None
    return [*(part for span in spans for part in span), Ending(reason, draw(_TALLIES), matched)]


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
