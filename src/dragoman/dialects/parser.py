"""The parser: it takes the text of a generation in chunks, and returns the same parts however the text is split.

It is always inside of one of four things, each with a reader of its own: text (`TextSpan`), reasoning (`ReasoningSpan`), calls
(a `CallReader`), and the header of a message (`HeaderReader`). It passes the text to that reader until the reader is done, and
then decides which one is next. Undecided text, as the beginning of a marker, is kept in `_held`. Every character is read a
constant number of times. The text that results is read a second time, for calls in other notations than the dialect's
(`recovery`).

It guarantees, for any text:

- parts nest: `CallStart CallDelta* CallEnd` with nothing between, and `ThinkingEnd` after every run of `Thinking`;
- a call is a call only if its tool is declared and calls are allowed; everything else is text (or thinking), byte for byte;
- no marker appears in text, unless the text quotes it (a `"`, a `'` or a backtick on both sides, a code span or a fence around
  it) or a refused call contains it;
- no exception is raised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dragoman.conversation.types import JsonObject
from dragoman.dialects.blocks import CallReader, Context, TentativeCall, open_block, open_message
from dragoman.dialects.header import HeaderReader, MessageKind, ParsedHeader
from dragoman.dialects.markdown import CodeTracker
from dragoman.dialects.marker_sets import Meaning, marker_sets
from dragoman.dialects.marks import unmarked
from dragoman.dialects.recovery import SecondReading
from dragoman.dialects.spans import Event, ReasoningSpan, Span, TextSpan
from dragoman.dialects.spec import CallsInside, Syntax
from dragoman.dialects.special_markers import SpecialMarkers, TokenMarking, without_marks
from dragoman.parts import CallStart, Part, Text, ThinkingEnd


@dataclass(slots=True)
class _OpenBlock:
    """A block of calls that is being read."""

    reader: CallReader
    is_message: bool = False
    """Whether it is a whole message."""
    interrupts: bool = False
    """Whether the reasoning continues after it."""


class Parser:
    """Reads one generation.

    `tools` are the declared tools' schemas by name. `thinking_open`: the prompt ends inside a reasoning span. With
    `calls_allowed` false, or no tools, the markup of calls is ordinary text. With `recover`, calls in other notations than the
    dialect's are read as well. `markers` are special tokens that are matched by their ids.
    """

    def __init__(  # noqa: PLR0913 -- what is known of a generation before it begins
        self,
        syntax: Syntax,
        tools: Mapping[str, JsonObject],
        *,
        thinking_open: bool,
        calls_allowed: bool = True,
        recover: bool = True,
        markers: SpecialMarkers | None = None,
    ) -> None:
        calls_allowed = calls_allowed and bool(tools)
        self._marking = TokenMarking(markers) if markers else None
        syntax = markers.syntax if markers else syntax
        self._syntax = syntax
        self._repairs: list[str] = []
        closes = syntax.reasoning.closes if syntax.reasoning else ()
        self._calls_inside = syntax.reasoning.calls_inside if syntax.reasoning else CallsInside.END
        self._context = Context(tools if calls_allowed else {}, self._repairs, closes)
        spelled = markers.spellings if markers else frozenset()
        self._sets = marker_sets(syntax, calls_allowed=calls_allowed, spelled=spelled)
        self._held = ""  # undecided text, which is read again together with the next chunk
        self._text = TextSpan(self._sets, syntax.reasoning, syntax.stop_strings.ends)
        self.thinking = False
        """Whether the text so far ends inside reasoning."""
        self._reasoning: ReasoningSpan | None = None
        self._span: Span = self._text  # the one of the two that it is inside of
        self._block: _OpenBlock | None = None  # inside of the text or the reasoning
        self._header: HeaderReader | None = None
        if thinking_open:
            self._begin_reasoning()
        elif syntax.frame:
            self._header = self._new_header("")
        is_read_twice = recover and calls_allowed
        self._second_reading = (
            SecondReading(tools, self._repairs, [*map(unmarked, self._sets.openers)], [*map(unmarked, self._sets.closers)])
            if is_read_twice
            else None
        )

    @property
    def repairs(self) -> list[str]:
        """The names of the repairs, one entry each time, and an entry for each recovered call, for the log."""
        return [*self._repairs, *(self._second_reading.recovered if self._second_reading else ())]

    def feed(self, text: str, ids: Sequence[int] | None = None) -> list[Part]:
        """The parts that this chunk completes; `ids` are those of its tokens, None for text that the model did not write."""
        if self._marking is not None:
            text = self._marking.mark(text, ids)
        out: list[Part] = []
        self._held = self._scan(self._held + text, out, final=False)
        return self._read_again(out)

    def finish(self, cut: bool) -> list[Part]:
        """The last parts. `cut`: a limit ended the output, so an open call is not complete (STOP-3)."""
        out: list[Part] = []
        self._read_end(out, cut=cut)
        return self._read_again(out, final=True, cut=cut)

    def _read_again(self, parts: list[Part], *, final: bool = False, cut: bool = False) -> list[Part]:
        """Look for calls in the parts of the first reading."""
        again, has_marks = self._second_reading, self._marking is not None
        if again is not None:
            parts = without_marks(parts, broken_too=False) if has_marks else parts
            parts = again.finish(parts, cut=cut) if final else again.read(parts)
        return without_marks(parts, broken_too=True) if has_marks else parts

    def _read_end(self, out: list[Part], *, cut: bool) -> None:
        tail = self._scan(self._held, out, final=True)
        self._held = ""
        while self._header is not None:
            parsed, self._header = self._header.finish(tail), None
            tail = self._scan(self._begin_message(parsed, out), out, final=True)
        if self._block is not None:
            parts: list[Part] = []
            self._block.reader.finish(tail, parts, cut=cut)
            self._pass_on(self._block, parts, out)
            if not parts:
                self._span.drop_markup()
        if self._reasoning is not None:
            self._end_reasoning(self._reasoning, out)
        self._text.finish(out)

    def _scan(self, text: str, out: list[Part], *, final: bool) -> str:
        """Read until the text ends or is undecided; returns the undecided end."""
        pos = 0
        while pos < len(text):
            if self._block is not None:
                pos = self._read_block(self._block, text, pos, out)
                if self._block is not None:
                    break
            elif self._header is not None:
                before, pos = pos, self._header.read(text, pos)
                if self._header.parsed is not None:
                    text, pos = self._end_header(self._header, self._header.parsed, out) + text[pos:], 0
                elif pos == before:
                    break
            else:
                pos, event = self._span.read(text, pos, out, final=final)
                if event is None:
                    break
                self._change(event, out)
        return text[pos:]

    def _change(self, event: Event, out: list[Part]) -> None:
        """Enter or leave what a marker begins or ends."""
        match event.meaning:
            case Meaning.CALL:
                self._open(self._reader(event))
            case Meaning.REASONING:
                self._begin_reasoning()
            case Meaning.HEADER:
                self._begin_header(event.marker, out)
            case Meaning.MESSAGE_END:
                self._begin_header("", out)
            case _:
                assert self._reasoning is not None
                self._end_reasoning(self._reasoning, out)

    # Reasoning

    def _begin_reasoning(self) -> None:
        text = self._text
        text.interrupt()
        self.thinking = True
        self._span = self._reasoning = ReasoningSpan(
            self._sets, self._syntax.reasoning, at_start=not text.has_words, refused=text.refused
        )

    def _end_reasoning(self, reasoning: ReasoningSpan, out: list[Part]) -> None:
        if reasoning.has_words:
            out.append(ThinkingEnd())
        self.thinking, self._reasoning, self._span = False, None, self._text
        self._text.resume(reasoning)

    # Calls

    def _reader(self, event: Event) -> CallReader:
        if self._reasoning is None or self._calls_inside is not CallsInside.TENTATIVE:
            return open_block(event.marker, event.forms, self._context)
        return TentativeCall(
            event.marker, self._open_any, self._context, self._sets.after_tentative_call, self._syntax.stop_strings.ends
        )

    def _open_any(self, opener: str, context: Context) -> CallReader:
        return open_block(opener, self._sets.openers[opener], context)

    def _open(self, reader: CallReader, *, is_message: bool = False) -> None:
        self._block, self._span.refused = _OpenBlock(reader, is_message), False

    def _read_block(self, block: _OpenBlock, text: str, pos: int, out: list[Part]) -> int:
        parts: list[Part] = []
        pos = block.reader.read(text, pos, parts)
        if parts:
            self._pass_on(block, parts, out)
        if block.reader.done:
            self._block, self._span.refused = None, block.reader.refused
            if block.reader.refused:
                self._text.forbid_bare_calls()
            if block.is_message:
                self._begin_header("", out)
            elif block.interrupts:
                self._begin_reasoning()
        return pos

    def _pass_on(self, block: _OpenBlock, parts: list[Part], out: list[Part]) -> None:
        """Pass on the parts of a block; the text among them is written as text."""
        for part in parts:
            if isinstance(part, Text):
                self._span.write(part.text, out)
            else:
                if isinstance(part, CallStart):
                    self._begin_call(block, out)
                out.append(part)

    def _begin_call(self, block: _OpenBlock, out: list[Part]) -> None:
        if self._reasoning is not None:
            self._end_reasoning(self._reasoning, out)
            block.interrupts = self._calls_inside is CallsInside.INTERRUPT
        self._text.code = CodeTracker()
        self._text.drop_markup()

    # Messages

    def _begin_header(self, start: str, out: list[Part]) -> None:
        if self._reasoning is not None:
            self._end_reasoning(self._reasoning, out)
        self._header = self._new_header(start)

    def _new_header(self, start: str) -> HeaderReader:
        assert self._syntax.frame is not None
        return HeaderReader(self._syntax.frame, start, self._context.tools, self._sets.arguments)

    def _end_header(self, header: HeaderReader, parsed: ParsedHeader, out: list[Part]) -> str:
        """Begin the message of a header that was read; returns text to read again."""
        self._header = None
        if header.lost_end:
            self._repairs.append("header")
        return self._begin_message(parsed, out)

    def _begin_message(self, header: ParsedHeader, out: list[Part]) -> str:
        """Begin a message; returns text to read again: what turned out not to be a header, or the message's first text."""
        match header.kind:
            case MessageKind.THINKING:
                self._begin_reasoning()
            case MessageKind.TEXT:
                self._text.drop_markup()
                if self._text.has_words:
                    self._text.space = "\n\n"  # two messages are two paragraphs
            case MessageKind.CALL:
                self._open_message(header.name)
            case MessageKind.NOT_A_HEADER:
                return self._without_start(header.text, out)
        return header.rest

    def _open_message(self, name: str) -> None:
        frame, calls = self._syntax.frame, self._syntax.calls
        assert frame is not None
        assert calls is not None
        calls = replace(calls, closes=frame.ends)
        self._open(open_message(name, calls, self._context, self._sets.message_ends), is_message=True)

    def _without_start(self, text: str, out: list[Part]) -> str:
        """The text after the start of a header that it begins with, which is written as text."""
        assert self._syntax.frame is not None
        start = next((start for start in self._syntax.frame.starts if text.startswith(start)), "")
        self._text.write(start, out)
        return text.removeprefix(start)
