"""Applies the policies of a request to the parsed parts: stop sequences, signatures, call ids, one-call limit.

Each policy is small and has one place: stop sequences act on visible text only (SEQ-4), reasoning is signed where it
ends (THK-2), each call gets its own id (TOOL-8), one call ends the answer if parallel calls are off (TOOL-7), blank text makes
no block (RES-4), and constrained output is validated.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence

from dragoman.conversation import AnswerPolicy, ThinkingDisplay
from dragoman.conversation.signature import sign
from dragoman.generation.endings import EndCause
from dragoman.generation.output_validator import OutputValidator
from dragoman.generation.stops import StopScanner
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text, Thinking, ThinkingEnd


class OutputPolicies:
    """Applies the policies to the parts of one answer.

    `end_cause` is set as soon as a policy ends the answer, and no part may follow; `matched` is the stop sequence, if any.
    `calls` counts the complete calls. `broke_call`: a call was cut, by the limit or by the model; its block stays, and
    clients should not run it.
    """

    def __init__(self, policy: AnswerPolicy) -> None:
        self.end_cause: EndCause | None = None
        self.matched: str | None = None
        self.calls = 0
        self.broke_call = False
        self._validator = OutputValidator(policy)
        self._stops = StopScanner(policy.stop_sequences)
        self._parallel = policy.tool_policy.parallel
        self._show_thinking = policy.thinking.display is not ThinkingDisplay.OMITTED
        self._blank: str | None = ""  # blank text at the start of a block; None once the block has other text
        self._thought: list[str] = []

    @property
    def violations(self) -> list[str]:
        """The violated constraints of the answer."""
        return self._validator.violations

    def apply(self, parts: Iterable[Part]) -> Iterator[Part]:
        """Yield the parts that the client gets for the next parsed parts."""
        for part in parts:
            if self._validator.active:
                self._validator.feed(part)
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
                case CallStart(name, written):
                    yield from self.flush()
                    yield CallStart(name, _call_id(written))
                case CallEnd(complete):
                    yield part
                    self.calls += complete
                    self.broke_call = self.broke_call or not complete
                    if complete and not self._parallel:
                        self.end_cause = EndCause.MODEL_CALLED
                case _:
                    raise TypeError(f"a parser does not produce {type(part).__name__}")
            if self.end_cause is not None:
                return

    def flush(self) -> Iterator[Part]:
        """Yield the text that was held back, and end the block; a blank block is dropped."""
        yield from self._shown(self._stops.flush())
        self._blank = ""

    def settle(self) -> None:
        """Set the end cause after the model ended its turn. Raises `EngineFailed` if a call was forced and there is none."""
        self.end_cause = self.ended
        self._validator.settle()

    @property
    def ended(self) -> EndCause:
        """The end cause of an answer that the model ended."""
        if self.broke_call:
            return EndCause.CALL_BROKEN
        return EndCause.MODEL_CALLED if self.calls else EndCause.MODEL_DONE

    def _visible(self, text: str) -> Sequence[Part]:
        visible, matched = self._stops.feed(text)
        if matched is not None:
            self.end_cause, self.matched = EndCause.STOP_SEQUENCE, matched
        return self._shown(visible)

    def _shown(self, text: str) -> Sequence[Part]:
        """Return text once it is not blank: the API rejects blank blocks in requests (REQ-8), so none is made (RES-4)."""
        if self._blank is not None:
            text = self._blank + text
            self._blank = None if text.strip() else text
        return (Text(text),) if text and self._blank is None else ()

    def _signed(self) -> Iterator[Part]:
        """Sign the reasoning and end its block; an empty span makes no block."""
        thought = "".join(self._thought)
        self._thought.clear()
        if thought:
            yield ThinkingEnd(sign(thought, shown=self._show_thinking))


def _call_id(written: str) -> str:
    """Return a unique id (TOOL-8) that ends with the one the model wrote, so that a later prompt can contain that one."""
    return f"toolu_{secrets.token_hex(12)}{written if written.isascii() and written.isalnum() else ''}"
