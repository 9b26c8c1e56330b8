"""The parser: it takes the text of a generation in chunks, and returns the same parts however the text is split.

It is a scanner with four states: reasoning, text, calls, and the headers of messages. In the first two it looks for the next
marker; the text between markers is passed on at once, except for what is undecided: the beginning of a marker (`_held`), and
space that is markup or text depending on what follows (`_space`). Calls are read by a `CallReader` until it is done, headers by
a `HeaderReader`. Every character is read a constant number of times. The text that results is read a second time, for calls in
other notations than the dialect's (`recovery`).

It guarantees, for any text:

- parts nest: `CallStart CallDelta* CallEnd` with nothing between, and `ThinkingEnd` after every run of `Thinking`;
- a call is a call only if its tool is declared and calls are allowed; everything else is text (or thinking), byte for byte;
- no marker appears in text, unless the text quotes it (a `"`, a `'` or a backtick on both sides, a code span or a fence around
  it) or a refused call contains it;
- no exception is raised.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from dragoman.conversation.types import JsonObject
from dragoman.dialects.blocks import CallReader, Context, TentativeCall, open_block, open_message
from dragoman.dialects.header import HeaderReader, MessageKind, ParsedHeader
from dragoman.dialects.markdown import CodeTracker
from dragoman.dialects.marker_sets import marker_sets
from dragoman.dialects.recovery import SecondReading
from dragoman.dialects.spec import Reasoning, Syntax
from dragoman.parts import CallStart, Part, Text, Thinking, ThinkingEnd

MAX_TAG = 256
"""Characters of the longest citation tag, and of the longest space between an opener and its repetition."""

_WORD = re.compile(r"\S")


class Parser:
    """Reads one generation.

    `tools` are the declared tools' schemas by name. `thinking_open`: the prompt ends inside a reasoning span. With
    `calls_allowed` false, or no tools, the markup of calls is ordinary text. With `recover`, calls in other notations than the
    dialect's are read as well.
    """

    def __init__(
        self,
        syntax: Syntax,
        tools: Mapping[str, JsonObject],
        *,
        thinking_open: bool,
        calls_allowed: bool = True,
        recover: bool = True,
    ) -> None:
        self._repairs: list[str] = []
        self.thinking = thinking_open
        calls_allowed = calls_allowed and bool(tools)
        self._reasoning = syntax.reasoning or Reasoning(opens=(), closes=(), misspelled_closers=())
        self._frame = syntax.frame
        self._stop_strings = syntax.stop_strings
        self._context = Context(tools if calls_allowed else {}, self._repairs, self._reasoning.closes)
        self._marker_sets = marker_sets(syntax, calls_allowed=calls_allowed)
        self._message_calls = syntax.calls
        self._held = ""  # undecided text, which is read again together with the next chunk
        self._space = ""  # space after the last word, and possible stop strings
        self._after_markup = thinking_open  # only markup came since the reasoning began or ended
        self._bare_allowed = True  # a call may come without its opener
        self._has_text = False  # there was visible text
        self._space_is_text = not thinking_open  # space at the end of the output would belong to text
        self._space_before = ""  # of the text before the open reasoning, kept if the reasoning is empty
        self._has_thinking = False  # there was text since the reasoning began
        self._code = CodeTracker()  # of the reasoning, or since the last call
        self._misspelled_opened = False  # the opener of a misspelled closer is in this reasoning
        self._block: CallReader | None = None
        self._refused = False  # the last call was refused, or quoted: its closers are text as well
        self._resumes = False  # the reasoning continues after this block
        self._header: HeaderReader | None = None
        if syntax.frame and not thinking_open:
            self._header = self._new_header("")
        self._in_message = False  # the block is a whole message
        is_read_twice = recover and bool(self._context.tools)
        self._second_reading = SecondReading(tools, self._repairs, *self._marker_sets.calls) if is_read_twice else None

    @property
    def repairs(self) -> list[str]:
        """The names of the repairs, one entry each time, and an entry for each recovered call, for the log."""
        return [*self._repairs, *(self._second_reading.recovered if self._second_reading else ())]

    def feed(self, text: str) -> list[Part]:
        """The parts that this chunk completes."""
        out: list[Part] = []
        text = self._held + text
        self._held = text[self._scan(text, out, final=False) :]
        return self._second_reading.read(out) if self._second_reading else out

    def finish(self, cut: bool) -> list[Part]:
        """The last parts. `cut`: a limit ended the output, so an open call is not complete (STOP-3)."""
        out: list[Part] = []
        self._read_end(out, cut=cut)
        return self._second_reading.finish(out, cut=cut) if self._second_reading else out

    def _read_end(self, out: list[Part], *, cut: bool) -> None:
        tail = self._held[self._scan(self._held, out, final=True) :]
        self._held = ""
        if self._block is not None:
            parts: list[Part] = []
            self._block.finish(tail, parts, cut=cut)
            self._pass_on(parts, out)
            self._block = None
            if not parts:
                self._drop_marker()
        elif self._header is not None:
            parsed, self._header = self._header.finish(tail), None
            self._begin_message(parsed, out)
        if self.thinking:
            self._end_thinking(out)
        elif self._space_is_text:
            for end in self._stop_strings.ends:
                self._space = self._space.replace(end, "")
            if self._space:
                out.append(Text(self._space))

    def _scan(self, text: str, out: list[Part], *, final: bool) -> int:
        """Read until the text ends or is undecided; returns that position."""
        pos = 0
        while pos < len(text):
            if self._block is not None:
                pos = self._read_block(self._block, text, pos, out)
                if self._block is not None:
                    break
                continue
            if self._header is not None:
                pos = self._read_header(self._header, text, pos, out)
                if self._header is not None:
                    break
                continue
            markers = self._marker_sets.thinking if self.thinking else self._marker_sets.text
            found = markers.find(text, pos, final=final)
            if self._opens_bare(text, pos, found.start if found else len(text)):
                continue
            if found is None:
                self._write(text[pos:] if pos else text, out)
                return len(text)
            if found.start > pos:
                self._write(text[pos : found.start], out)
            if not found.marker:
                return found.start
            pos = found.start + len(found.marker)
            dropped = self._dropped_end(found.marker, text, pos, final=final)
            if dropped is None:
                self._on_marker(found.marker, out)
            elif dropped < 0:
                return found.start
            else:
                pos = dropped
        return pos

    def _dropped_end(self, marker: str, text: str, end: int, *, final: bool) -> int | None:
        """The end of the markup to drop here, if the marker is only dropped; -1 while that is undecided, None otherwise."""
        rest = text[end : end + MAX_TAG]
        is_open = len(rest) < MAX_TAG and not final
        if marker in self._marker_sets.openers:
            words = rest.lstrip()
            if words.startswith(marker):  # a repeated opener: the second one counts
                return end + len(rest) - len(words)
            return -1 if marker.startswith(words) and is_open else None
        if marker in self._stop_strings.citations and not marker.endswith(">"):
            close = rest.find(">")
            return end + close + 1 if close >= 0 else -1 if is_open else None
        return None

    def _on_marker(self, marker: str, out: list[Part]) -> None:
        """Change the state, or write the marker as text."""
        if self._is_quoted(marker) or self._is_ordinary_text(marker):
            self._refused = self._refused or marker in self._marker_sets.openers
            self._write(marker, out)
        elif marker in self._marker_sets.openers:
            self._open(self._reader(marker))
        elif marker in self._reasoning.misspelled_closers:
            self._end_thinking(out)
        elif marker in self._marker_sets.misspelled_openers:
            self._misspelled_opened = True
            self._write(marker, out)
        elif marker in self._reasoning.opens:
            if not self.thinking:
                self._begin_thinking()
        elif marker in self._reasoning.closes and self.thinking:
            self._end_thinking(out)
        elif marker in self._stop_strings.ends:
            self._space += marker
        elif marker in self._stop_strings.citations:
            self._write("" if marker.endswith(">") else marker, out)
        elif self._frame and marker in (*self._frame.starts, *self._frame.ends):
            self._begin_header(marker if marker in self._frame.starts else "", out)
        elif self._refused and marker in self._marker_sets.closers:
            self._write(marker, out)
        else:  # a stray closer, or a wrapper's tag
            self._drop_marker()

    def _is_quoted(self, marker: str) -> bool:
        """Whether the marker is only quoted, between quotation marks or as part of a call in code."""
        if marker in self._marker_sets.quoted:
            return True
        in_code = self._code.in_span or (self._code.in_fence and not self.thinking)
        is_call = marker in self._marker_sets.openers or marker in self._marker_sets.closers
        return (in_code and is_call) or (self._misspelled_opened and marker in self._reasoning.misspelled_closers)

    def _reader(self, opener: str) -> CallReader:
        if not self.thinking or self._reasoning.ended_by_call:
            return self._open_any(opener, self._context)
        return TentativeCall(
            opener, self._open_any, self._context, self._marker_sets.after_tentative_call, self._stop_strings.ends
        )

    def _open_any(self, opener: str, context: Context) -> CallReader:
        return open_block(opener, self._marker_sets.openers[opener], context)

    def _is_ordinary_text(self, marker: str) -> bool:
        """Whether a word-like marker is ordinary text here (`Reasoning.word_like_markers`)."""
        if marker not in self._reasoning.word_like_markers:
            return False
        return (self._has_text or self._has_thinking) if marker in self._reasoning.opens else not self.thinking

    def _open(self, block: CallReader) -> None:
        self._block, self._refused = block, False

    def _opens_bare(self, text: str, pos: int, end: int) -> bool:
        """Open a block without an opener if one begins with the next word, before `end`; returns whether it does."""
        if not self._marker_sets.bare or self.thinking or self._has_text or not self._bare_allowed:
            return False
        word = _WORD.search(text, pos, end)
        calls = self._marker_sets.bare.get(word.group()) if word else None
        if calls is not None:
            self._open(open_block("", (calls,), self._context))
        return calls is not None

    def _begin_header(self, start: str, out: list[Part]) -> None:
        if self.thinking:
            self._end_thinking(out)
        self._header = self._new_header(start)

    def _new_header(self, start: str) -> HeaderReader:
        assert self._frame is not None
        return HeaderReader(self._frame, start, self._context.tools, self._marker_sets.arguments)

    def _read_header(self, header: HeaderReader, text: str, pos: int, out: list[Part]) -> int:
        pos = header.read(text, pos)
        if header.parsed is not None:
            self._header = None
            if header.lost_end:
                self._repairs.append("header")
            self._begin_message(header.parsed, out)
        return pos

    def _begin_message(self, header: ParsedHeader, out: list[Part]) -> None:
        match header.kind:
            case MessageKind.THINKING:
                self._begin_thinking()
            case MessageKind.TEXT:
                self._drop_marker()
                if self._has_text:
                    self._space = "\n\n"  # two messages are two paragraphs
            case MessageKind.CALL:
                assert self._frame is not None
                assert self._message_calls is not None
                self._in_message = True
                calls = replace(self._message_calls, closes=self._frame.ends)
                self._open(open_message(header.name, calls, self._context, self._marker_sets.stops))
            case MessageKind.NOT_A_HEADER:
                self._write_header(header.text, out)
        if header.rest:
            self._scan(header.rest, out, final=True)

    def _write_header(self, text: str, out: list[Part]) -> None:
        """Read text that turned out not to be a header again, as text; the start of a header that it begins with is written."""
        assert self._frame is not None
        start = next((start for start in self._frame.starts if text.startswith(start)), "")
        self._header = None
        self._write(start, out)
        self._scan(text[len(start) :], out, final=True)

    def _read_block(self, block: CallReader, text: str, pos: int, out: list[Part]) -> int:
        parts: list[Part] = []
        pos = block.read(text, pos, parts)
        self._pass_on(parts, out)
        if block.done:
            self._block, self._refused = None, block.refused
            self._bare_allowed = self._bare_allowed and not block.refused
            if self._in_message:
                self._in_message = False
                self._begin_header("", out)
            elif self._resumes:
                self._resumes = False
                self._begin_thinking()
        return pos

    def _pass_on(self, parts: list[Part], out: list[Part]) -> None:
        """Pass on the parts of a block; the text among them is written as text."""
        for part in parts:
            if isinstance(part, Text):
                self._write(part.text, out)
                continue
            if isinstance(part, CallStart):
                self._begin_call(out)
            out.append(part)

    def _write(self, text: str, out: list[Part]) -> None:
        """Write reasoning or text, depending on the state; its trailing space, which may be markup, waits in `_space`."""
        self._code.write(text)
        body = text.rstrip("\n") if self.thinking else text.rstrip()
        if self._after_markup and not body.strip():
            body = ""
        if not body:
            self._space += text
            return
        written = self._space + body if self._space else body
        self._space = text[len(body) :]
        if self._after_markup:
            self._after_markup = False
            words = written.lstrip()
            written = written[: -len(words)].rpartition("\n")[2] + words
        if self.thinking:
            self._has_thinking = True
            out.append(Thinking(written))
        else:
            self._has_text = self._space_is_text = True
            out.append(Text(written))

    def _begin_thinking(self) -> None:
        self._space_before = self._space if self._has_text and not self.thinking else ""
        self.thinking, self._has_thinking, self._misspelled_opened, self._code = True, False, False, CodeTracker()
        self._space, self._after_markup, self._space_is_text = "", True, False

    def _end_thinking(self, out: list[Part]) -> None:
        if self._has_thinking:
            out.append(ThinkingEnd())
        is_dropped = not self._has_thinking and self._has_text
        self.thinking, self._code = False, CodeTracker()
        self._space, self._after_markup, self._space_is_text = self._space_before if is_dropped else "", not is_dropped, False

    def _begin_call(self, out: list[Part]) -> None:
        if self.thinking:
            self._end_thinking(out)
            self._resumes = self._reasoning.resumes
        self._code = CodeTracker()
        self._drop_marker()

    def _drop_marker(self) -> None:
        """Drop markup: before the first word, the space around it is dropped as well."""
        self._space_is_text = False
        if not self._has_text and not self.thinking:
            self._space, self._after_markup = "", True
