"""Parts in, events out: the only code that opens and closes content blocks.

A stream is legal because an illegal one cannot be said here. The encoder is always in one state: before the message, between
blocks, inside one block of a kind, or behind the end. `_LEGAL` is the whole grammar: which parts may come in which state. A
part that may not come raises `IllegalPart` at the turn that produced it, in our tests, and never reaches a client.

What a part does not say, the encoder supplies: text opens a text block, a call or reasoning closes the text before it, the
ending closes what is open. Only reasoning and calls are ended by their makers: one must be signed, the other be whole.
"""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import assert_never

from msgspec.structs import replace

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
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from dragoman.api.anthropic.message import BlockOut, MessageOut, TextOut, ThinkingOut, ToolUseOut, Usage
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, Prefill, Text, Thinking, ThinkingEnd, TokenCounts


class IllegalPart(RuntimeError):
    """A turn produced parts in an order that no stream can carry: a defect of ours."""


class _State(IntEnum):  # which, unlike others, is hashed without a call: it is looked up for every part
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
    _State.THINKING: frozenset({Thinking, ThinkingEnd}),
    _State.TEXT: _ANY_BLOCK,
    _State.CALL: frozenset({CallDelta, CallEnd}),
    _State.DONE: frozenset(),
}


class MessageEncoder:
    """Encodes one message. `start` first, then each part in turn; the `Ending` is the last."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._state = _State.NEW
        self._index = -1

    def start(self, counts: TokenCounts) -> list[Event]:
        """Open the message. Its usage carries the counts as they are known now, the output as 1, as upstream does (SSE-5)."""
        if self._state is not _State.NEW:
            raise IllegalPart("the message was started twice")
        self._state = _State.BETWEEN
        usage = Usage.of(replace(counts, output=max(counts.output, 1)))
        return [MessageStart(MessageOut(id=self._id, model=self._model, content=[], usage=usage))]

    def encode(self, part: Part) -> list[Event]:
        """The events that say this part. Raises `IllegalPart`."""
        if type(part) not in _LEGAL[self._state]:
            raise IllegalPart(f"{type(part).__name__} came while {self._state.name}")
        match part:
            case Text(text):
                return [*self._enter(_State.TEXT, TextOut), self._delta(TextDelta(text))]
            case CallDelta(json):
                return [self._delta(InputJsonDelta(json))]
            case Thinking(text):
                return [*self._enter(_State.THINKING, ThinkingOut), self._delta(ThinkingDelta(text))]
            case ThinkingEnd(signature):  # reasoning that is not shown is a block with nothing but its signature (THK-8)
                return [*self._enter(_State.THINKING, ThinkingOut), self._delta(SignatureDelta(signature)), *self._leave()]
            case CallStart(name, identifier):  # the first delta is empty, as upstream's is (SSE-11)
                opening = self._enter(_State.CALL, lambda: ToolUseOut(id=identifier, name=name))
                return [*opening, self._delta(InputJsonDelta(""))]
            case CallEnd():  # a cut call closes like a whole one (STOP-3)
                return self._leave()
            case Prefill():
                return []
            case Ending(reason, counts, stop_sequence):
                closing = self._leave()
                self._state = _State.DONE
                final = FinalDelta(stop_reason=reason.value, stop_sequence=stop_sequence)
                return [*closing, MessageDelta(final, Usage.of(counts)), MessageStop()]
            case _:
                assert_never(part)

    def _delta(self, delta: Delta) -> ContentBlockDelta:
        return ContentBlockDelta(self._index, delta)

    def _enter(self, state: _State, block: Callable[[], BlockOut]) -> list[Event]:
        """Be in a block of that kind: nothing to do, or the end of another block and the start of this one."""
        if self._state is state:
            return []
        events = self._leave()
        self._state = state
        self._index += 1
        events.append(ContentBlockStart(self._index, block()))
        return events

    def _leave(self) -> list[Event]:
        """Be between blocks."""
        if self._state is _State.BETWEEN:
            return []
        self._state = _State.BETWEEN
        return [ContentBlockStop(self._index)]
