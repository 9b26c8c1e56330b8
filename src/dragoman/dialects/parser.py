"""The parser: the model's text in, in any pieces; parts out, the same for any pieces.

It is a scanner over four kinds of ground: thinking, text, calls and the headers of messages. On the first two it looks for the
next marker; between markers text passes at once, except for what cannot be decided yet: the beginning of a marker (`_held`),
space that is markup or text depending on what follows (`_space`). On calls a `CallReader` reads until it is done, on a header a
`Header`. Every character is looked at a constant number of times. What comes out as text is read a second time, for calls in
other notations than the dialect's (`recovery`).

What it guarantees, whatever the text:

- parts nest: `CallStart CallDelta* CallEnd` with nothing between, and `ThinkingEnd` behind every run of `Thinking`;
- a call is a call only if its tool is declared and calls are allowed; everything else is text (or thinking), byte for byte;
- no marker appears in text, unless the text quotes it (a `"`, a `'` or a backtick on both sides, a span of code or a fence
  around it) or a refused call contains it;
- nothing is ever raised.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from dragoman.conversation.types import JsonObject
from dragoman.dialects.codecs import CallReader, Context, TentativeCall, open_block, open_message
from dragoman.dialects.header import Address, Header, Kind
from dragoman.dialects.markdown import Code
from dragoman.dialects.marker_sets import marker_sets
from dragoman.dialects.recovery import SecondReading
from dragoman.dialects.spec import Reasoning, Syntax
from dragoman.parts import CallStart, Part, Text, Thinking, ThinkingEnd

MAX_TAG = 256
"""No tag of a citation is longer, and no space between an opener and its double."""

_WORD = re.compile(r"\S")


class Parser:
    """Reads the output of one turn. `repairs` names what had to be put right, one entry each time, for the log.

    `tools` are the declared tools' schemas by name. `thinking_open`: the prompt ends inside a reasoning span.
    With `calls_allowed` false, or no tools, the markup of calls is ordinary text. With `recover`, calls in other notations than
    the dialect's are read as well.
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
        self._terminals = syntax.stop_strings
        self._context = Context(tools if calls_allowed else {}, self._repairs, self._reasoning.closes)
        self._marker_sets = marker_sets(syntax, calls_allowed=calls_allowed)
        self._message_calls = syntax.calls
        self._held = ""  # undecided: presented again, with more behind it
        self._space = ""  # space behind the last word, and what may be leaking stop strings
        self._edge = thinking_open  # has nothing but markup come since the span began or ended?
        self._bare = True  # may a call come without its opener?
        self._spoken = False  # was there any visible text?
        self._trailing = not thinking_open  # would space at the end of the turn belong to text?
        self._before = ""  # space of the text before an open span, which stays if the span holds nothing
        self._thought = False  # was there thinking since the span began?
        self._code = Code()  # of the span, or since the last call
        self._tagged = False  # was a slip's own opener in this thinking?
        self._block: CallReader | None = None
        self._refused = False  # has the last call been refused, or quoted? Its closers are text as well
        self._resumes = False  # does thinking go on behind this block?
        self._header: Header | None = None
        if syntax.frame and not thinking_open:
            self._header = self._new_header("")
        self._in_message = False  # is the block a whole message?
        is_read_twice = recover and bool(self._context.tools)
        self._second = SecondReading(tools, self._repairs, *self._marker_sets.calls) if is_read_twice else None

    @property
    def repairs(self) -> list[str]:
        """Names of what had to be put right, and of the calls that had to be recovered."""
        return [*self._repairs, *(self._second.recovered if self._second else ())]

    def feed(self, text: str) -> list[Part]:
        """The parts that `text` completes."""
        out: list[Part] = []
        text = self._held + text
        self._held = text[self._scan(text, out, final=False) :]
        return self._second.read(out) if self._second else out

    def finish(self, cut: bool) -> list[Part]:
        """The last parts. `cut`: the output was ended by a limit, so a call that is open is not complete (STOP-3)."""
        out: list[Part] = []
        self._read_end(out, cut=cut)
        return self._second.finish(out, cut=cut) if self._second else out

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
            address, self._header = self._header.finish(tail), None
            self._begin_message(address, out)
        if self.thinking:
            self._end_thinking(out)
        elif self._trailing:
            for end in self._terminals.ends:
                self._space = self._space.replace(end, "")
            if self._space:
                out.append(Text(self._space))

    def _scan(self, text: str, out: list[Part], *, final: bool) -> int:
        """Read until the text ends or is undecided; returns where."""
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
            dropped = self._drop(found.marker, text, pos, final=final)
            if dropped is None:
                self._on_marker(found.marker, out)
            elif dropped < 0:
                return found.start
            else:
                pos = dropped
        return pos

    def _drop(self, marker: str, text: str, end: int, *, final: bool) -> int | None:
        """Does a marker count for nothing? Then where what is dropped with it ends, or -1 where that cannot be told yet."""
        rest = text[end : end + MAX_TAG]
        is_open = len(rest) < MAX_TAG and not final
        if marker in self._marker_sets.openers:
            words = rest.lstrip()
            if words.startswith(marker):  # a doubled opener: the second one counts
                return end + len(rest) - len(words)
            return -1 if marker.startswith(words) and is_open else None
        if marker in self._terminals.citations and not marker.endswith(">"):
            close = rest.find(">")
            return end + close + 1 if close >= 0 else -1 if is_open else None
        return None

    def _on_marker(self, marker: str, out: list[Part]) -> None:
        """A marker stands here."""
        if self._quotes(marker) or self._is_prose(marker):
            self._refused = self._refused or marker in self._marker_sets.openers
            self._write(marker, out)
        elif marker in self._marker_sets.openers:
            self._open(self._reader(marker))
        elif marker in self._reasoning.misspelled_closers:
            self._end_thinking(out)
        elif marker in self._marker_sets.misspelled_closers:
            self._tagged = True
            self._write(marker, out)
        elif marker in self._reasoning.opens:
            if not self.thinking:
                self._begin_thinking()
        elif marker in self._reasoning.closes and self.thinking:
            self._end_thinking(out)
        elif marker in self._terminals.ends:
            self._space += marker
        elif marker in self._terminals.citations:
            self._write("" if marker.endswith(">") else marker, out)
        elif self._frame and marker in (*self._frame.starts, *self._frame.ends):
            self._begin_header(marker if marker in self._frame.starts else "", out)
        elif self._refused and marker in self._marker_sets.closers:
            self._write(marker, out)
        else:  # a stray closer, or a wrapper's tag
            self._drop_marker()

    def _quotes(self, marker: str) -> bool:
        """Is the marker merely quoted, by itself or as part of a call in a span of code?"""
        if marker in self._marker_sets.quoted:
            return True
        in_code = self._code.in_span or (self._code.in_fence and not self.thinking)
        is_call = marker in self._marker_sets.openers or marker in self._marker_sets.closers
        return (in_code and is_call) or (self._tagged and marker in self._reasoning.misspelled_closers)

    def _reader(self, opener: str) -> CallReader:
        if not self.thinking or self._reasoning.ended_by_call:
            return self._open_any(opener, self._context)
        return TentativeCall(opener, self._open_any, self._context, self._marker_sets.behind_mention, self._terminals.ends)

    def _open_any(self, opener: str, context: Context) -> CallReader:
        return open_block(opener, self._marker_sets.openers[opener], context)

    def _is_prose(self, marker: str) -> bool:
        """Does a marker that is made of words stand where it is none?"""
        if marker not in self._reasoning.word_like_markers:
            return False
        return (self._spoken or self._thought) if marker in self._reasoning.opens else not self.thinking

    def _open(self, block: CallReader) -> None:
        self._block, self._refused = block, False

    def _opens_bare(self, text: str, pos: int, end: int) -> bool:
        """Does a block without an opener begin with the next word, before `end`? Then it is open now."""
        if not self._marker_sets.bare or self.thinking or self._spoken or not self._bare:
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

    def _new_header(self, start: str) -> Header:
        assert self._frame is not None
        return Header(self._frame, start, self._context.tools, self._marker_sets.arguments)

    def _read_header(self, header: Header, text: str, pos: int, out: list[Part]) -> int:
        pos = header.read(text, pos)
        if header.address is not None:
            self._header = None
            if header.lost_end:
                self._repairs.append("header")
            self._begin_message(header.address, out)
        return pos

    def _begin_message(self, address: Address, out: list[Part]) -> None:
        match address.kind:
            case Kind.THINKING:
                self._begin_thinking()
            case Kind.TEXT:
                self._drop_marker()
                if self._spoken:
                    self._space = "\n\n"  # two messages are two paragraphs
            case Kind.CALL:
                assert self._frame is not None
                assert self._message_calls is not None
                self._in_message = True
                calls = replace(self._message_calls, closes=self._frame.ends)
                self._open(open_message(address.name, calls, self._context, self._marker_sets.stops))
            case Kind.NONE:
                self._write_header(address.text, out)
        if address.rest:
            self._scan(address.rest, out, final=True)

    def _write_header(self, text: str, out: list[Part]) -> None:
        """What was read as a header was none, but what begins one may begin it: behind that, it is text like any other."""
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
            self._bare = self._bare and not block.refused
            if self._in_message:
                self._in_message = False
                self._begin_header("", out)
            elif self._resumes:
                self._resumes = False
                self._begin_thinking()
        return pos

    def _pass_on(self, parts: list[Part], out: list[Part]) -> None:
        """A block's parts, with the text among them put where text goes."""
        for part in parts:
            if isinstance(part, Text):
                self._write(part.text, out)
                continue
            if isinstance(part, CallStart):
                self._begin_call(out)
            out.append(part)

    def _write(self, text: str, out: list[Part]) -> None:
        """Thinking or text, whichever ground this is. What may be markup of it waits in `_space`."""
        self._code.write(text)
        body = text.rstrip("\n") if self.thinking else text.rstrip()
        if self._edge and not body.strip():
            body = ""
        if not body:
            self._space += text
            return
        written = self._space + body if self._space else body
        self._space = text[len(body) :]
        if self._edge:
            self._edge = False
            words = written.lstrip()
            written = written[: -len(words)].rpartition("\n")[2] + words
        if self.thinking:
            self._thought = True
            out.append(Thinking(written))
        else:
            self._spoken = self._trailing = True
            out.append(Text(written))

    def _begin_thinking(self) -> None:
        self._before = self._space if self._spoken and not self.thinking else ""
        self.thinking, self._thought, self._tagged, self._code = True, False, False, Code()
        self._space, self._edge, self._trailing = "", True, False

    def _end_thinking(self, out: list[Part]) -> None:
        if self._thought:
            out.append(ThinkingEnd())
        is_dropped = not self._thought and self._spoken
        self.thinking, self._code = False, Code()
        self._space, self._edge, self._trailing = self._before if is_dropped else "", not is_dropped, False

    def _begin_call(self, out: list[Part]) -> None:
        if self.thinking:
            self._end_thinking(out)
            self._resumes = self._reasoning.resumes
        self._code = Code()
        self._drop_marker()

    def _drop_marker(self) -> None:
        """Markup stood here: before the first word, the space around it goes as well."""
        self._trailing = False
        if not self._spoken and not self.thinking:
            self._space, self._edge = "", True
