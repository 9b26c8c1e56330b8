"""The second reading: it finds calls in the text that the dialect's own reader returned.

Text is passed on at once, up to a position where a call may begin in the notation of any family. From there it is held as a
`Run` until it is decided: it becomes calls if they are complete, of declared tools, with arguments that fit, and if the output
ends with them (calls between the dialect's own tags may have text after them). Anything else stays text, unchanged. The tags
around calls are dropped with them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from dragoman.conversation.types import JsonObject
from dragoman.dialects.markdown import CodeTracker
from dragoman.dialects.recovery.acceptance import Tools
from dragoman.dialects.recovery.fences import FENCE
from dragoman.dialects.recovery.named_calls import NAME, PREFIXES, read_name
from dragoman.dialects.recovery.run import MAX_HELD, Opening, Run, RunState
from dragoman.dialects.recovery.source import Incomplete, NoCall, Source
from dragoman.dialects.recovery.tags import Role, Tag, tag_at
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text, Thinking

REPAIR = "recovered-call"
_BROKEN = "broken-call"
_NO_ARGUMENTS = "{}"

_PLAIN = re.compile(r"[^<\[\]{`\n]*")
_MARKUP_STARTS = ("<", "[", "]", "{", "`")
_QUOTES = ('"', "'", "`")
_WORDS = (
    "functools[",
    "functools [",
    "Action:",
    "to=",
    "assistant to=",
    "commentary to=",
    "print(",
)
_QUOTING_LINE = re.compile(r"\s*(?:[-*+>|#]|[0-9]+[.)])\s|\s*[>|]| {4,}|\t")


class SecondReading:
    """Reads the parts of one generation. `own` are the dialect's openers of calls, `closers` their closers.

    `repairs` are those of the first reading; `recovered` has an entry for each recovered call.
    """

    def __init__(
        self, tools: Mapping[str, JsonObject], repairs: list[str], own: Collection[str], closers: Collection[str]
    ) -> None:
        self._tools = Tools(tools)
        self._trigger, self._trigger_in_line = _triggers(frozenset(name[:2] for name in tools))
        self._repairs = repairs
        self.recovered: list[str] = []
        self._own, self._closers = own, closers
        self._code = CodeTracker()  # of the text up to the undecided part of `_text`
        self._text = ""  # text that is not passed on yet
        self._more: list[str] = []  # the text after it, while a run is undecided
        self._size = 0  # total length of both
        self._seen = 0  # length of `_text` that `_code` has read
        self._run: Run | None = None
        self._lead = ""  # the space before the run, in `_text`
        self._last_char = ""  # the last character that was passed on
        self._is_first = True  # no text came yet
        self._cut = False
        self._called = False
        self._drop_space = False  # space after a dropped closer is dropped as well
        self._after_call = False  # only space and closers came since the last call
        self._open_tags: list[str] = []  # dropped tags whose closers have not come
        self._name = ""  # of the open call of the first reading, as long as that has no arguments
        self._broken: list[Part] | None = None  # the end of that call, if it ended without arguments
        self._is_idle = True  # nothing is held, and no call has begun
        self._is_in_line = False  # it is idle within a line, where plain text cannot begin a call

    def read(self, parts: list[Part]) -> list[Part]:
        """Add parts of the first reading; returns the parts that are now certain."""
        if not parts or (len(parts) == 1 and self._is_plain(parts[0])):
            return parts
        out: list[Part] = []
        self._read(parts, out)
        self._is_idle = not (self._run or self._text or self._more or self._name or self._broken)
        self._is_in_line = self._is_idle and not self._after_call and bool(self._code.line.strip())
        return out

    def _is_plain(self, part: Part) -> bool:
        """Whether this part, as most, is passed on without any change of state."""
        if type(part) is Text:
            if not self._is_in_line or _PLAIN.fullmatch(part.text) is None:
                return False
            self._code.write(part.text)
            self._last_char = part.text[-1]
            return True
        return self._is_idle and (type(part) is Thinking or type(part) is CallDelta)

    def _read(self, parts: Sequence[Part], out: list[Part]) -> None:
        for part in parts:
            if type(part) is Text:
                self._take(part.text, out)
            else:
                self._pass(part, out)

    def finish(self, parts: list[Part], *, cut: bool) -> list[Part]:
        """Add the last parts and return all that remain. `cut`: a limit has ended the output."""
        out: list[Part] = []
        self._read(parts, out)
        self._cut = cut
        self._flush(out, before_call=False)
        return out

    def _pass(self, part: Part, out: list[Part]) -> None:
        """Pass on a part that is not text; held text ends here."""
        if type(part) is CallDelta:
            if self._name and part.json == _NO_ARGUMENTS:
                self._broken = [part]
                return
            self._release_broken(out)
            self._name = ""
        elif type(part) is CallEnd:
            if self._broken is not None and part.added == len(_NO_ARGUMENTS):
                self._broken.append(part)
                self._run, self._lead = self._new_run(begun=self._name), ""
                return
            self._release_broken(out)
            self._name, self._called, self._after_call = "", True, True
            self._code = CodeTracker()
        else:
            self._flush(out, before_call=type(part) is CallStart)
            if type(part) is CallStart:
                self._name = part.name
        out.append(part)

    def _release_broken(self, out: list[Part]) -> None:
        """Pass on the end of the broken call, which was not recovered."""
        if self._broken is not None:
            out += self._broken
            self._broken = None

    def _take(self, text: str, out: list[Part]) -> None:
        """Add text."""
        if self._run is None and not self._text and not self._after_call and not self._triggers(text):
            self._code.write(text)
            self._write(text, out)
            return
        self._more.append(text)
        self._size += len(text)
        if self._run is None or self._size >= min(self._run.next_try, MAX_HELD):
            self._scan(out, final=False)

    def _triggers(self, text: str) -> bool:
        pattern = self._trigger if not self._code.line or self._code.line.isspace() else self._trigger_in_line
        return pattern.search(text) is not None

    def _flush(self, out: list[Part], *, before_call: bool) -> None:
        """Decide all held text, because nothing more can be part of it."""
        self._scan(out, final=True, before_call=before_call)
        self._release_broken(out)

    def _scan(self, out: list[Part], *, final: bool, before_call: bool = False) -> None:
        """Decide as much of the held text as possible."""
        self._text += "".join(self._more)
        self._more.clear()
        while self._text or (self._run is not None and final):
            try:
                if self._run is None and not self._begin(out, final=final):
                    break
            except Incomplete:
                break
            assert self._run is not None
            start = len(self._lead)
            state = self._run.read(self._text[start:], final=final, cut=self._cut)
            if state is RunState.WAIT:
                break
            end = start + self._run.pos
            if state is RunState.TEXT:
                self._refuse(end, out, final=final)
            elif state is RunState.CALLS:
                self._accept(self._run, end, out)
            else:
                self._drop_tags(self._run, out, before_call=before_call)
        self._size = len(self._text)

    def _begin(self, out: list[Part], *, final: bool) -> bool:
        """Pass on text up to the position of a possible run, and begin the run. Raises `Incomplete` if that is undecided."""
        if self._after_call and not self._pass_closers(final=final):
            return False
        text, source = self._text, Source(self._text, final=final)
        for found in self._trigger.finditer(text):
            pos = found.start() if found.group() in _MARKUP_STARTS else found.end()
            if pos < self._seen:
                continue
            self._code.write(text[self._seen : pos])
            self._seen = pos
            try:
                begins = self._may_begin(source, pos)
                closer = None if begins else self._stray_closer(source, pos)
            except Incomplete:
                self._hold(pos, out)
                raise
            if begins:
                self._lead = self._hold(pos, out)
                self._run = self._new_run()
                return True
            if closer is not None:
                self._hold(pos, out)
                self._text, self._seen = text[closer.end :], 0
                self._open_tags.remove(closer.stem)
                return self._begin(out, final=final)
        self._release(len(text), out, final=final)
        return False

    def _hold(self, pos: int, out: list[Part]) -> str:
        """Pass on the text before `pos`, except for the space at its end, which is held and returned."""
        words = self._text[:pos].rstrip()
        self._write(words, out)
        self._text, self._seen = self._text[len(words) :], pos - len(words)
        return self._text[: self._seen]

    def _release(self, end: int, out: list[Part], *, final: bool) -> None:
        """Pass on the text before `end`; space at its end is held, because a call may follow."""
        self._code.write(self._text[self._seen : end])
        words = self._text[:end] if final and end == len(self._text) else self._text[:end].rstrip()
        self._write(words, out)
        self._text, self._seen = self._text[len(words) :], end - len(words)

    def _write(self, text: str, out: list[Part]) -> None:
        if text:
            self._is_first = self._is_first and text.isspace()
            self._last_char = text[-1]
            out.append(Text(text))

    def _pass_closers(self, *, final: bool) -> bool:
        """Drop the closers of tags around the last call; returns whether there is other text."""
        source, pos = Source(self._text, final=final), _space(self._text)
        while pos < len(self._text):
            tag = tag_at(source, pos, self._tools)
            if tag is None or not tag.closes or tag.role is Role.OTHER:
                break
            if tag.stem in self._open_tags:
                self._open_tags.remove(tag.stem)
            self._text = self._text[tag.end :]
            source, pos = Source(self._text, final=final), _space(self._text)
            self._drop_space = self._is_first
        if pos == len(self._text) and not final:
            return False
        if self._drop_space:
            self._text = self._text[pos:]
        self._after_call = self._drop_space = False
        return bool(self._text)

    def _may_begin(self, source: Source, pos: int) -> bool:
        """Whether a run may begin at `pos`: not in quotations."""
        char = source.text[pos]
        code = self._code
        at_line_start = code.line.isspace() or not code.line
        quoting = _QUOTING_LINE.match(code.line) is not None
        if char == "`":
            return at_line_start and not code.fence and bool(source.literal(pos, FENCE))
        if code.in_span or (source.text[pos - 1] if pos else self._last_char) in _QUOTES:
            return False
        if char in "<[]":
            tag = tag_at(source, pos, self._tools)
            if tag is not None and self._begins(tag):
                return not (quoting or code.in_fence) or source.text[pos : tag.end].startswith(tuple(self._own))
        if quoting or code.in_fence or not at_line_start or char in "<]":
            return False
        return char in "{[" or self._is_name(source, pos)

    def _begins(self, tag: Tag) -> bool:
        """Whether this is the opener of a call, or of a tag around calls."""
        if tag.closes or tag.role not in (Role.CALL, Role.WRAPPER):
            return False
        return tag.role is not Role.CALL or bool(self._tools.named(tag.name))

    def _is_name(self, source: Source, pos: int) -> bool:
        """Whether a name, or a word that families write before one, is here."""
        if source.literal(pos, *_WORDS):
            return True
        try:
            read_name(source, pos, self._tools)
        except NoCall:
            return False
        return True

    def _stray_closer(self, source: Source, pos: int) -> Tag | None:
        """The closer of a dropped tag, if one is here."""
        if not self._open_tags or source.text[pos] not in "<]" or self._code.in_fence or self._code.in_span:
            return None
        tag = tag_at(source, pos, self._tools)
        return tag if tag is not None and tag.closes and tag.stem in self._open_tags else None

    def _new_run(self, begun: str = "") -> Run:
        return Run(self._tools, Opening(self._own, self._closers, self._code.in_fence, self._is_first, begun))

    def _refuse(self, end: int, out: list[Part], *, final: bool) -> None:
        """End the run as text, at least up to `end`."""
        self._run = None
        self._release_broken(out)
        self._release(end, out, final=final)

    def _accept(self, run: Run, end: int, out: list[Part]) -> None:
        """End the run as calls, up to `end`."""
        self._write_words(run, out)
        for call in run.calls:
            if self._broken is None:
                out.append(CallStart(call.name))
            else:
                self._repairs.remove(_BROKEN)
            self._broken = None
            out += [CallDelta(call.arguments), CallEnd()]
            self.recovered.append(REPAIR)
        self._end_run(run, end)
        self._name, self._called, self._after_call = "", True, True

    def _drop_tags(self, run: Run, out: list[Part], *, before_call: bool) -> None:
        """End a run of tags without calls: with calls before or after them they are markup, else text."""
        if before_call or (self._called and not run.words.strip()):
            self._write_words(run, out)
            self._end_run(run, len(self._text))
        else:
            self._refuse(len(self._text), out, final=True)

    def _write_words(self, run: Run, out: list[Part]) -> None:
        if words := run.words.strip():
            self._write(words if self._is_first else self._lead + words, out)

    def _end_run(self, run: Run, end: int) -> None:
        self._open_tags += run.openers
        self._text, self._seen, self._run, self._code = self._text[end:], 0, None, CodeTracker()


@lru_cache
def _triggers(names: frozenset[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of possible beginnings of calls, at a line's start and elsewhere. `names` are the tools' first two letters."""
    begun = {begun[:2] for begun in (*names, *_WORDS, *PREFIXES) if NAME.match(begun)}
    word = "|".join(f"{re.escape(begun)}|{re.escape(begun[0])}\\Z" for begun in sorted(begun))
    return re.compile(rf"[<\[\]{{`]|(?:\A|\n)[ \t]*(?={word})"), re.compile(rf"[<\[\]{{`]|\n[ \t]*(?={word})")


def _space(text: str) -> int:
    return len(text) - len(text.lstrip())
