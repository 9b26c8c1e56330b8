"""The second reading: calls in what the dialect's own reader took for text.

Text passes at once, except from where a call may begin in a notation of any family. From there it waits, as a `Run`, until it
is clear what it is: the calls come out where they are whole, of declared tools, with arguments that fit, and the turn ends with
them (between the dialect's own tags, whatever follows). Anything else is text again, unchanged. Tags around calls go with them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from dragoman.conversation.types import JsonObject
from dragoman.dialects.markdown import CodeTracker
from dragoman.dialects.recovery.acceptance import Tools
from dragoman.dialects.recovery.fences import FENCE
from dragoman.dialects.recovery.named_calls import NAME, PREFIXES, read_name
from dragoman.dialects.recovery.run import MAX_HELD, Opening, Run, Verdict
from dragoman.dialects.recovery.source import Incomplete, NoCall, Source
from dragoman.dialects.recovery.tags import Role, Tag, tag_at
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text, Thinking

REPAIR = "recovered-call"
_BROKEN = "broken-call"
_NO_ARGUMENTS = "{}"

_PLAIN = re.compile(r"[^<\[\]{`\n]*")
_MARKS = ("<", "[", "]", "{", "`")
_TICKS = ('"', "'", "`")
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
    """Reads the parts of one turn. `own` are the dialect's openers of calls, `closers` their closers.

    `repairs` are those of the first reading; `recovered` has an entry for each call that was recovered.
    """

    def __init__(
        self, tools: Mapping[str, JsonObject], repairs: list[str], own: Collection[str], closers: Collection[str]
    ) -> None:
        self._tools = Tools(tools)
        self._trigger, self._trigger_in_line = _triggers(frozenset(name[:2] for name in tools))
        self._repairs = repairs
        self.recovered: list[str] = []
        self._own, self._closers = own, closers
        self._code = CodeTracker()  # of the text up to where `_text` is undecided
        self._text = ""  # not yet passed on
        self._more: list[str] = []  # what came after it, while a run waits
        self._size = 0  # of both together
        self._seen = 0  # how much of `_text` `_code` has seen
        self._run: Run | None = None
        self._lead = ""  # the space before the run, in `_text`
        self._last = ""  # the last character that was passed on
        self._first = True  # was nothing said yet?
        self._cut = False
        self._called = False
        self._trims = False  # does space after a dropped closer go as well?
        self._after_call = False  # has nothing but space and closers come since the last call?
        self._open_tags: list[str] = []  # tags that were dropped, and whose closers have not come
        self._name = ""  # the call that the first reading is in, as long as it has no arguments
        self._broken: list[Part] | None = None  # how that call ended, if it did without arguments
        self._is_idle = True  # is nothing held, and no call begun?
        self._is_in_line = False  # is it idle after the beginning of a line, where plain text begins nothing?

    def read(self, parts: list[Part]) -> list[Part]:
        """The parts that these make certain."""
        if not parts or (len(parts) == 1 and self._is_plain(parts[0])):
            return parts
        out: list[Part] = []
        self._read(parts, out)
        self._is_idle = not (self._run or self._text or self._more or self._name or self._broken)
        self._is_in_line = self._is_idle and not self._after_call and bool(self._code.line.strip())
        return out

    def _is_plain(self, part: Part) -> bool:
        """Is this, as most parts are, one that passes on and changes nothing?"""
        if type(part) is Text:
            if not self._is_in_line or _PLAIN.fullmatch(part.text) is None:
                return False
            self._code.write(part.text)
            self._last = part.text[-1]
            return True
        return self._is_idle and (type(part) is Thinking or type(part) is CallDelta)

    def _read(self, parts: Sequence[Part], out: list[Part]) -> None:
        for part in parts:
            if type(part) is Text:
                self._take(part.text, out)
            else:
                self._pass(part, out)

    def finish(self, parts: list[Part], *, cut: bool) -> list[Part]:
        """The last parts. `cut`: a limit has ended the output."""
        out: list[Part] = []
        self._read(parts, out)
        self._cut = cut
        self._flush(out, before_call=False)
        return out

    def _pass(self, part: Part, out: list[Part]) -> None:
        """A part that is not text: what was held ends here."""
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
        """The call that was broken stays so."""
        if self._broken is not None:
            out += self._broken
            self._broken = None

    def _take(self, text: str, out: list[Part]) -> None:
        """More text."""
        if self._run is None and not self._text and not self._after_call and not self._triggers(text):
            self._code.write(text)
            self._say(text, out)
            return
        self._more.append(text)
        self._size += len(text)
        if self._run is None or self._size >= min(self._run.next_try, MAX_HELD):
            self._scan(out, final=False)

    def _triggers(self, text: str) -> bool:
        pattern = self._trigger if not self._code.line or self._code.line.isspace() else self._trigger_in_line
        return pattern.search(text) is not None

    def _flush(self, out: list[Part], *, before_call: bool) -> None:
        """Nothing more comes that could be part of what is held."""
        self._scan(out, final=True, before_call=before_call)
        self._release_broken(out)

    def _scan(self, out: list[Part], *, final: bool, before_call: bool = False) -> None:
        """Decide what can be decided of the text that is held."""
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
            verdict = self._run.read(self._text[start:], final=final, cut=self._cut)
            if verdict is Verdict.WAIT:
                break
            end = start + self._run.pos
            if verdict is Verdict.TEXT:
                self._refuse(end, out, final=final)
            elif verdict is Verdict.CALLS:
                self._accept(self._run, end, out)
            else:
                self._drop_tags(self._run, out, before_call=before_call)
        self._size = len(self._text)

    def _begin(self, out: list[Part], *, final: bool) -> bool:
        """Pass on text up to where a run may begin, and begin it. Raises `Incomplete` where that cannot be told yet."""
        if self._after_call and not self._pass_closers(final=final):
            return False
        text, source = self._text, Source(self._text, final=final)
        for found in self._trigger.finditer(text):
            pos = found.start() if found.group() in _MARKS else found.end()
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
                self._open_tags.remove(closer.plain)
                return self._begin(out, final=final)
        self._release(len(text), out, final=final)
        return False

    def _hold(self, pos: int, out: list[Part]) -> str:
        """Pass on what stands before `pos`, but for the space right there, which is returned and waits."""
        words = self._text[:pos].rstrip()
        self._say(words, out)
        self._text, self._seen = self._text[len(words) :], pos - len(words)
        return self._text[: self._seen]

    def _release(self, end: int, out: list[Part], *, final: bool) -> None:
        """What stands before `end` is text. Space at its end waits: it may stand before a call."""
        self._code.write(self._text[self._seen : end])
        words = self._text[:end] if final and end == len(self._text) else self._text[:end].rstrip()
        self._say(words, out)
        self._text, self._seen = self._text[len(words) :], end - len(words)

    def _say(self, text: str, out: list[Part]) -> None:
        if text:
            self._first = self._first and text.isspace()
            self._last = text[-1]
            out.append(Text(text))

    def _pass_closers(self, *, final: bool) -> bool:
        """Drop what closes tags around the last call. False: there is nothing else here, or not yet."""
        source, pos = Source(self._text, final=final), _space(self._text)
        while pos < len(self._text):
            tag = tag_at(source, pos, self._tools)
            if tag is None or not tag.closes or tag.role is Role.OTHER:
                break
            if tag.plain in self._open_tags:
                self._open_tags.remove(tag.plain)
            self._text = self._text[tag.end :]
            source, pos = Source(self._text, final=final), _space(self._text)
            self._trims = self._first
        if pos == len(self._text) and not final:
            return False
        if self._trims:
            self._text = self._text[pos:]
        self._after_call = self._trims = False
        return bool(self._text)

    def _may_begin(self, source: Source, pos: int) -> bool:
        """May a run begin at `pos`? Not where the text quotes."""
        char = source.text[pos]
        code = self._code
        at_line_start = code.line.isspace() or not code.line
        quoting = _QUOTING_LINE.match(code.line) is not None
        if char == "`":
            return at_line_start and not code.fence and bool(source.literal(pos, FENCE))
        if code.in_span or (source.text[pos - 1] if pos else self._last) in _TICKS:
            return False
        if char in "<[]":
            tag = tag_at(source, pos, self._tools)
            if tag is not None and self._begins(tag):
                return not (quoting or code.in_fence) or source.text[pos : tag.end].startswith(tuple(self._own))
        if quoting or code.in_fence or not at_line_start or char in "<]":
            return False
        return char in "{[" or self._is_name(source, pos)

    def _begins(self, tag: Tag) -> bool:
        """Is this a tag around calls, or that of a call?"""
        if tag.closes or tag.role not in (Role.CALL, Role.WRAPPER):
            return False
        return tag.role is not Role.CALL or bool(self._tools.named(tag.name))

    def _is_name(self, source: Source, pos: int) -> bool:
        """Does a call begin here with a name, or with what families write before one?"""
        if source.literal(pos, *_WORDS):
            return True
        try:
            read_name(source, pos, self._tools)
        except NoCall:
            return False
        return True

    def _stray_closer(self, source: Source, pos: int) -> Tag | None:
        """The closer of a tag that was dropped, if one stands here."""
        if not self._open_tags or source.text[pos] not in "<]" or self._code.in_fence or self._code.in_span:
            return None
        tag = tag_at(source, pos, self._tools)
        return tag if tag is not None and tag.closes and tag.plain in self._open_tags else None

    def _new_run(self, begun: str = "") -> Run:
        return Run(self._tools, Opening(self._own, self._closers, self._code.in_fence, self._first, begun))

    def _refuse(self, end: int, out: list[Part], *, final: bool) -> None:
        """The run is text, up to `end` at least."""
        self._run = None
        self._release_broken(out)
        self._release(end, out, final=final)

    def _accept(self, run: Run, end: int, out: list[Part]) -> None:
        """The run is calls, up to `end`."""
        self._say_words(run, out)
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
        """The text ends in tags around calls: with calls before or after them they are markup."""
        if before_call or (self._called and not run.words.strip()):
            self._say_words(run, out)
            self._end_run(run, len(self._text))
        else:
            self._refuse(len(self._text), out, final=True)

    def _say_words(self, run: Run, out: list[Part]) -> None:
        if words := run.words.strip():
            self._say(words if self._first else self._lead + words, out)

    def _end_run(self, run: Run, end: int) -> None:
        self._open_tags += run.openers
        self._text, self._seen, self._run, self._code = self._text[end:], 0, None, CodeTracker()


@lru_cache
def _triggers(names: frozenset[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Where a call may begin: in text that begins a line, and in other text. `names` are the first two letters of the tools."""
    begun = {begun[:2] for begun in (*names, *_WORDS, *PREFIXES) if NAME.match(begun)}
    word = "|".join(f"{re.escape(begun)}|{re.escape(begun[0])}\\Z" for begun in sorted(begun))
    return re.compile(rf"[<\[\]{{`]|(?:\A|\n)[ \t]*(?={word})"), re.compile(rf"[<\[\]{{`]|\n[ \t]*(?={word})")


def _space(text: str) -> int:
    return len(text) - len(text.lstrip())
