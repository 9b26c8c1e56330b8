"""What a dialect read, as the conversation wants it told.

The policies are small and each has one place: stop sequences act on visible text only (SEQ-4), reasoning is signed where it
ends (THK-2), each call gets an id of its own (TOOL-8), one call is enough where parallel calls are off (TOOL-7), a blank text
is no block (RES-4), and what was promised is checked.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence

from dragoman.conversation import Conversation, ThinkingDisplay
from dragoman.conversation.signature import sign
from dragoman.generation.endings import EndCause
from dragoman.generation.output_validator import OutputValidator
from dragoman.generation.stops import StopScanner
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text, Thinking, ThinkingEnd


class OutputPolicies:
    """Shapes the parts of one turn.

    `happened` is set as soon as one of them ends the turn, and nothing may be told after it; `matched` is then the stop
    sequence, if it was one. `calls` counts the whole ones. `broke_call`: was one cut, by the limit or by the model itself? Its
    block stands, and nobody should run it.
    """

    def __init__(self, conversation: Conversation) -> None:
        self.happened: EndCause | None = None
        self.matched: str | None = None
        self.calls = 0
        self.broke_call = False
        self._promises = OutputValidator(conversation)
        self._stops = StopScanner(conversation.stop_sequences)
        self._parallel = conversation.tool_policy.parallel
        self._show_thinking = conversation.thinking.display is not ThinkingDisplay.OMITTED
        self._blank: str | None = ""  # blank text at the beginning of a block; None once the block has a word
        self._thought: list[str] = []

    @property
    def violations(self) -> list[str]:
        """What the answer should have been, and is not."""
        return self._promises.broken

    def apply(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The next parts, as a client may have them."""
        for part in parts:
            if self._promises.any:
                self._promises.note(part)
            match part:
                case Text(text):
                    yield from self._visible(text)
                case CallDelta():
                    yield part
                case Thinking(text):
                    yield from self.flush()
                    self._thought.append(text)
                    if self._show_thinking:
                        yield part
                case ThinkingEnd():
                    yield from self._signed()
                case CallStart(name, wire):
                    yield from self.flush()
                    yield CallStart(name, _call_id(wire))
                case CallEnd(complete):
                    yield part
                    self.calls += complete
                    self.broke_call = self.broke_call or not complete
                    if complete and not self._parallel:
                        self.happened = EndCause.MODEL_CALLED
                case _:
                    raise TypeError(f"a parser does not make {type(part).__name__}")
            if self.happened is not None:
                return

    def flush(self) -> Iterator[Part]:
        """What was held back is text after all; and the block is over, so a blank one never was."""
        yield from self._shown(self._stops.flush())
        self._blank = ""

    def settle(self) -> None:
        """The model ended its turn by itself. Raises `EngineFailed` where a call was forced and there is none."""
        self.happened = self.ended
        self._promises.settle()

    @property
    def ended(self) -> EndCause:
        """How a turn ended that ended by itself."""
        if self.broke_call:
            return EndCause.CALL_BROKEN
        return EndCause.MODEL_CALLED if self.calls else EndCause.MODEL_DONE

    def _visible(self, text: str) -> Sequence[Part]:
        visible, matched = self._stops.feed(text)
        if matched is not None:
            self.happened, self.matched = EndCause.STOP_SEQUENCE, matched
        return self._shown(visible)

    def _shown(self, text: str) -> Sequence[Part]:
        """Text, once there is a word in it: the API takes no blank block back (REQ-8), so none is made (RES-4)."""
        if self._blank is not None:
            text = self._blank + text
            self._blank = None if text.strip() else text
        return (Text(text),) if text and self._blank is None else ()

    def _signed(self) -> Iterator[Part]:
        """Close the reasoning. A span without a word in it is no block."""
        thought = "".join(self._thought)
        self._thought.clear()
        if thought:
            yield ThinkingEnd(sign(thought, shown=self._show_thinking))


def _call_id(wire: str) -> str:
    """An id of our own, unique (TOOL-8), which ends with the one that the model wrote, so that it can be written back."""
    return f"toolu_{secrets.token_hex(12)}{wire if wire.isascii() and wire.isalnum() else ''}"
