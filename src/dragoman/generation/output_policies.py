"""Applies the policies of a request to the parsed parts: stop sequences, signatures, call ids, one-call limit.

Each policy is small and has one place: stop sequences act on visible text only (SEQ-4), reasoning is signed where it
ends (THK-2), each call gets its own id (TOOL-8), one call ends the answer if parallel calls are off (TOOL-7), blank text makes
no block (RES-4), marks of citations become citations, and constrained output is validated.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from dragoman.conversation import AnswerPolicy, ThinkingDisplay
from dragoman.conversation.signature import sign
from dragoman.generation.citing import CitationReader
from dragoman.generation.endings import EndCause
from dragoman.generation.output_validator import OutputValidator
from dragoman.generation.stops import StopScanner
from dragoman.parts import CallDelta, CallEnd, CallStart, Cited, Part, Text, Thinking, ThinkingEnd

_AFTER_TEXT = frozenset({Thinking, CallStart})
"""Parts that end the text before them."""


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
        self._stops = StopScanner(policy.stop_sequences) if policy.stop_sequences else None
        self._citing = CitationReader(policy.passages) if policy.passages else None
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
            if type(part) in _AFTER_TEXT:
                yield from self.flush()
                if self.end_cause is not None:
                    return
            match part:
                case Text():
                    yield from self._scanned(part) if self._citing is None else self._pieces(self._citing.feed(part.text))
                case CallDelta():
                    yield part
                case Thinking(text):
                    self._thought.append(text)
                    yield from (part,) if self._show_thinking else ()
                case ThinkingEnd():
                    yield from self._signed()
                case CallStart(name, written):
                    yield CallStart(name, _call_id(written))
                case CallEnd(complete):
                    yield part
                    self._count_call(complete=complete)
                case _:
                    raise TypeError(f"a parser does not produce {type(part).__name__}")
            if self.end_cause is not None:
                return

    def _count_call(self, *, complete: bool) -> None:
        self.calls += complete
        self.broke_call = self.broke_call or not complete
        if complete and not self._parallel:
            self.end_cause = EndCause.MODEL_CALLED

    def flush(self) -> Iterator[Part]:
        """Yield the text that was held back, and end the block; a blank block is dropped. It may set the end cause."""
        if self._citing is not None:
            yield from self._pieces(self._citing.flush())
        if self.end_cause is None:
            yield from self._unheld()
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

    def _pieces(self, pieces: Iterable[Text | Cited]) -> Iterator[Part]:
        """Yield what the client gets for pieces of text; those that cite something are blocks of their own."""
        for piece in pieces:
            if isinstance(piece, Text):
                yield from self._scanned(piece)
            else:
                yield from self._cited(piece)
            if self.end_cause is not None:
                return

    def _cited(self, piece: Cited) -> Iterator[Part]:
        yield from self._unheld()
        shown = [*self._scanned(Text(piece.text))]
        if self.end_cause is None:
            shown += self._unheld()
        if text := "".join(part.text for part in shown):
            yield replace(piece, text=text)
            self._blank = ""

    def _unheld(self) -> Sequence[Text]:
        """The text that is held back as the beginning of a stop sequence."""
        return () if self._stops is None else self._shown(Text(self._stops.flush()))

    def _scanned(self, part: Text) -> Sequence[Text]:
        if self._stops is None:
            return self._shown(part)
        visible, matched = self._stops.feed(part.text)
        if matched is not None:
            self.end_cause, self.matched = EndCause.STOP_SEQUENCE, matched
        return self._shown(Text(visible))

    def _shown(self, part: Text) -> Sequence[Text]:
        """Return text once it is not blank: the API rejects blank blocks in requests (REQ-8), so none is made (RES-4)."""
        if self._blank is None:
            return (part,) if part.text else ()
        text = self._blank + part.text
        self._blank = None if text.strip() else text
        return (Text(text),) if self._blank is None else ()

    def _signed(self) -> Iterator[Part]:
        """Sign the reasoning and end its block; an empty span makes no block."""
        thought = "".join(self._thought)
        self._thought.clear()
        if thought:
            yield ThinkingEnd(sign(thought, shown=self._show_thinking))


def _call_id(written: str) -> str:
    """Return a unique id (TOOL-8) that ends with the one the model wrote, so that a later prompt can contain that one."""
    return f"toolu_{secrets.token_hex(12)}{written if written.isascii() and written.isalnum() else ''}"
