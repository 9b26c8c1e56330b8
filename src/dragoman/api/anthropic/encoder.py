"""Encodes parts as stream events: the only code that opens and closes content blocks.

The encoder can only produce valid streams. It is always in one state: before the message, between blocks, inside a block of
one type, or after the end. `_LEGAL` is the whole grammar: which parts are allowed in which state. Any other part raises
`IllegalPart`, so that a generation that produces it fails in our tests and no client sees an invalid stream.

The encoder adds what parts leave implicit: text opens a text block, a call or reasoning closes the text block before it, the
ending closes the open block. Reasoning and calls have explicit end parts: reasoning needs its signature, a call may be cut.
"""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import assert_never

from msgspec.structs import replace

from dragoman.api.anthropic.errors import ErrorBody
from dragoman.api.anthropic.events import (
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    Delta,
    Event,
    FinalDelta,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from dragoman.api.anthropic.message import BlockOut, MessageOut, TextOut, ThinkingOut, ToolUseOut, Usage
from dragoman.errors import DragomanError
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, Prefill, Text, Thinking, ThinkingEnd, TokenCounts


class IllegalPart(RuntimeError):
    """A generation produced parts in an order that no stream allows: a bug of ours."""


class _State(IntEnum):  # hashed without a Python call, unlike Enum: it is looked up for every part
    NEW = auto()
    BETWEEN = auto()
    THINKING = auto()
    TEXT = auto()
    CALL = auto()
    DONE = auto()


_ANY_BLOCK: frozenset[type] = frozenset({Prefill, Thinking, ThinkingEnd, Text, CallStart, Ending})
_LEGAL: dict[_State, frozenset[type]] = {
    _State.NEW: frozenset(),
    _State.BETWEEN: _ANY_BLOCK,
    _State.THINKING: frozenset({Prefill, Thinking, ThinkingEnd}),
    _State.TEXT: _ANY_BLOCK,
    _State.CALL: frozenset({Prefill, CallDelta, CallEnd}),
    _State.DONE: frozenset(),
}


class MessageEncoder:
    """Encodes one message: `start` first, then each part in order; the `Ending` is the last."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._state = _State.NEW
        self._index = -1

    def start(self, counts: TokenCounts) -> list[Event]:
        """Open the message. Its usage has the counts known so far, and an output of at least 1, as Anthropic's has (SSE-5)."""
        if self._state is not _State.NEW:
            raise IllegalPart("the message was started twice")
        self._state = _State.BETWEEN
        usage = Usage.of(replace(counts, output=max(counts.output, 1)))
        return [MessageStart(MessageOut(id=self._id, model=self._model, content=[], usage=usage))]

    def encode(self, part: Part) -> list[Event]:
        """The events of this part. Raises `IllegalPart`."""
        if type(part) not in _LEGAL[self._state]:
            raise IllegalPart(f"{type(part).__name__} came while {self._state.name}")
        match part:
            case Text(text):
                return [*self._enter(_State.TEXT, TextOut), self._delta(TextDelta(text))]
            case CallDelta(json):
                return [self._delta(InputJsonDelta(json))]
            case Thinking(text):
                return [*self._enter(_State.THINKING, ThinkingOut), self._delta(ThinkingDelta(text))]
            case ThinkingEnd(signature):  # hidden reasoning is a block that has only its signature (THK-8)
                return [*self._enter(_State.THINKING, ThinkingOut), self._delta(SignatureDelta(signature)), *self._leave()]
            case CallStart(name, identifier):  # the first delta is empty, as Anthropic's is (SSE-11)
                opening = self._enter(_State.CALL, lambda: ToolUseOut(id=identifier, name=name))
                return [*opening, self._delta(InputJsonDelta(""))]
            case CallEnd():  # a cut call closes like a whole one (STOP-3)
                return self._leave()
            case Prefill():  # also in a call whose opening was written for an engine that does not enforce it
                return []
            case Ending(reason, counts, stop_sequence):
                closing = self._leave()
                self._state = _State.DONE
                final = FinalDelta(stop_reason=reason.value, stop_sequence=stop_sequence)
                return [*closing, MessageDelta(final, Usage.of(counts)), MessageStop()]
            case _:
                assert_never(part)

    def ping(self) -> list[Event]:
        """A `ping` (SSE-19)."""
        return [Ping()]

    def fail(self, error: DragomanError, request_id: str) -> list[Event]:
        """The `error` event, which is the last one (SSE-17)."""
        return [ErrorBody.of(error, request_id)]

    def _delta(self, delta: Delta) -> ContentBlockDelta:
        return ContentBlockDelta(self._index, delta)

    def _enter(self, state: _State, block: Callable[[], BlockOut]) -> list[Event]:
        """Change into a block of this type: close another open block and start this one, unless it is open already."""
        if self._state is state:
            return []
        events = self._leave()
        self._state = state
        self._index += 1
        events.append(ContentBlockStart(self._index, block()))
        return events

    def _leave(self) -> list[Event]:
        """Close the open block, if there is one."""
        if self._state is _State.BETWEEN:
            return []
        self._state = _State.BETWEEN
        return [ContentBlockStop(self._index)]
