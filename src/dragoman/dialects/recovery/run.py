"""A run of calls, which a model writes in place of an answer, in any notation, with all the tags and fences around it."""

import re
from collections.abc import Collection
from enum import Enum, auto
from typing import NamedTuple

from dragoman.dialects.recovery.acceptance import Call, Tools
from dragoman.dialects.recovery.fences import FENCE, close_fence, fence_info, is_call_fence
from dragoman.dialects.recovery.json_calls import read_json_calls
from dragoman.dialects.recovery.named_calls import MAX_NAME, NAME, read_named_call, skip_separators
from dragoman.dialects.recovery.source import Incomplete, NoCall, Source
from dragoman.dialects.recovery.tagged_calls import read_arguments, read_tagged_call
from dragoman.dialects.recovery.tags import Role, Tag, tag_at

MAX_HELD = 64 * 1024
"""Characters of the longest run; a longer one is not held back."""
MAX_WORDS = 512
"""Characters of text between an opener and the first call."""

_RETRY_ABOVE = 1024
_WORDS = re.compile(r"[^<>{}\[\]()=`]+")
_LIST = re.compile(r"\[\s*(?=[A-Za-z_\]]|\Z)")
_HEADER = re.compile(
    r"(?:assistant|commentary|analysis|final|json|code|function|functools|functions|call|Action:|tool_calls?:?)(?![\w(.:/])"
)
_RECIPIENT = re.compile(r"to=\s*([\w.\-/:]*)")
_PRINT = re.compile(r"print\(")


class RunState(Enum):
    """The result of reading the text of a run so far."""

    WAIT = auto()  # undecided: more text is needed
    CALLS = auto()  # calls, up to the run's `pos`
    MARKUP = auto()  # only tags around calls that have not come
    TEXT = auto()  # text, at least up to the run's `pos`


class Opening(NamedTuple):
    """The context in which a run begins."""

    own: Collection[str]
    """The dialect's own openers."""
    closers: Collection[str]
    """Their closers."""
    in_fence: bool
    """Whether a fence is open already."""
    first: bool
    """Whether no text came before."""
    begun: str = ""
    """The tool with whose arguments the run begins, or ""."""


class Run:
    """Reads a run as its text grows. Each element is read once it is complete; `pos` is the end of the last one."""

    def __init__(self, tools: Tools, opening: Opening) -> None:
        self.calls: list[Call] = []
        self.words = ""
        """The text before the first call."""
        self.openers: list[str] = []
        """The open tags, by their words."""
        self.pos = 0
        self._tools = tools
        self._opening = opening
        self._is_own = bool(opening.begun)
        self._tagged = bool(opening.begun)
        self._fence = ""
        self._was_fenced = False
        self._quotable = opening.in_fence  # it is a quotation if text follows
        self._listed = False
        self._begun = opening.begun
        self._closed = False
        self._possible_end = 0  # after the last call or tag, for runs that text may follow
        self.next_try = 0
        """The length of text below which reading again cannot give another result."""

    def read(self, text: str, *, final: bool, cut: bool) -> RunState:
        """Read `text`, all of the run so far. `final`: no more comes. `cut`: because a limit has ended the output."""
        if len(text) > MAX_HELD:
            text, final = text[:MAX_HELD], False
        elif not final and len(text) < self.next_try:
            return RunState.WAIT
        source = Source(text, final=final, cut=cut)
        try:
            while not self._is_over(source):
                before = self.pos
                self.pos = self._element(source, source.skip_space(before))
                if self.pos <= before:
                    raise NoCall(before + 1)
        except Incomplete:
            self.next_try = len(text) + (len(text) - self.pos) // 4 if len(text) - self.pos > _RETRY_ABOVE else 0
            return RunState.WAIT if len(text) < MAX_HELD else self._refuse(len(text))
        except NoCall as error:
            return self._refuse(max(error.pos, self.pos, 1))
        if self.calls:
            return RunState.CALLS
        return RunState.MARKUP if self.openers else self._refuse(len(text))

    def _is_over(self, source: Source) -> bool:
        if self._closed and self.calls and self._is_own and not self._quotable:
            return True
        end = source.skip_space(self.pos)
        if not source.at_end(end):
            return False
        self.pos = end
        return True

    def _refuse(self, pos: int) -> RunState:
        """End the run at text that is not part of it. Calls between the dialect's own tags stay calls whatever follows."""
        if self.calls and self._is_own and not self._quotable and self._possible_end:
            self.pos = self._possible_end
            return RunState.CALLS
        self.pos = pos
        return RunState.TEXT

    def _element(self, source: Source, pos: int) -> int:
        """Read one element at `pos`; returns its end."""
        if self._begun:
            end = self._read_begun(source, pos, self._begun)
            self._begun = ""
            return end
        text = source.text
        char = text[pos]
        if char == "`":
            return self._read_fence(source, pos)
        tag = tag_at(source, pos, self._tools)
        if tag is not None and (tag.role is not Role.OTHER or (self.calls and tag.is_token)):
            return self._read_tag(source, pos, tag)
        if self.calls and (mark := source.literal(pos, ",", ";", ">>>")):
            return pos + len(mark)
        if char in "])" and self._listed:
            return pos + 1
        if char == "[" and (found := _LIST.match(text, pos)):
            if found.end() == len(text):
                source.expect_more()
            self._listed = True
            return found.end()
        if char in "{[":
            calls, end = read_json_calls(source, pos, self._tools, tagged=self._tagged)
            return self._take(calls, end)
        return self._word(source, pos)

    def _word(self, source: Source, pos: int) -> int:
        if (word := NAME.match(source.text, pos)) and word.end() == len(source.text) and len(word.group()) < MAX_NAME:
            source.expect_more()
        for pattern in (_HEADER, _RECIPIENT, _PRINT):
            if found := source.match(pattern, pos):
                return self._skip_words(source, pattern, found)
        if not self._tagged and not self._listed and (self._was_fenced or self._opening.in_fence):
            raise NoCall(pos + 1)
        try:
            call, end = read_named_call(source, pos, self._tools, tagged=self._tagged, listed=self._listed)
        except NoCall as error:
            return self._take_words(source, pos, error)
        return self._take([call], end)

    def _skip_words(self, source: Source, pattern: re.Pattern[str], found: re.Match[str]) -> int:
        """Skip words that families write before a call; a recipient may be the call's name."""
        if pattern is _PRINT:
            self._listed = True
        if pattern is not _RECIPIENT:
            return found.end()
        start = skip_separators(source, found.end(), self._tools)
        if not source.text.startswith("{", start):
            return found.end()
        call, end = read_named_call(source, found.start(1), self._tools, tagged=True)
        return self._take([call], end)

    def _take_words(self, source: Source, pos: int, error: NoCall) -> int:
        """Read words before the first call, which are allowed only after the dialect's own opener."""
        found = _WORDS.match(source.text, pos)
        if found is None or self.calls or not self._is_own or self._fence or len(self.words) + len(found.group()) > MAX_WORDS:
            raise error
        if found.end() == len(source.text):
            source.expect_more()
        self.words += found.group()
        return found.end()

    def _read_begun(self, source: Source, pos: int, name: str) -> int:
        if source.text[pos] in "({" and not source.text.startswith('{"', pos):
            named = Source(name + source.text[pos:], final=source.final, cut=source.cut)
            try:
                call, end = read_named_call(named, 0, self._tools, tagged=True)
            except NoCall:
                raise NoCall(pos) from None
            return self._take([call], pos + end - len(name))
        call, end = read_arguments(source, pos, name, self._tools)
        return self._take([call], end)

    def _read_fence(self, source: Source, pos: int) -> int:
        if self._fence or (self._opening.in_fence and self.calls):
            end = close_fence(source, pos)
            if end == pos or self._opening.in_fence:
                raise NoCall(pos + 1)
            self._fence = ""
            return end
        if not source.literal(pos, FENCE):
            raise NoCall(pos + 1)
        info, end = fence_info(source, pos)
        self._fence, self._was_fenced = FENCE, True
        self._quotable = self._quotable or not self.openers
        self._tagged = self._tagged or is_call_fence(info)
        return end

    def _read_tag(self, source: Source, pos: int, tag: Tag) -> int:
        written = source.text[pos : tag.end]
        if tag.role is Role.CALL and tag.name and not tag.closes:
            if not self._tools.named(tag.name):
                raise NoCall(tag.end)
            call, end = read_tagged_call(source, tag._replace(name=self._tools.named(tag.name)), self._tools)
            self._is_own = self._is_own or any(written.startswith(own) for own in self._opening.own)
            return self._take([call], end)
        if tag.role not in (Role.WRAPPER, Role.SEPARATOR, Role.CALL):
            if self.calls and (tag.closes or tag.is_token):
                return tag.end
            raise NoCall(tag.end)
        if tag.closes and not self.calls:
            raise NoCall(tag.end)
        if not tag.closes:
            self.openers.append(tag.stem)
            self._is_own = self._is_own or written in self._opening.own
        else:
            self._closed = written in self._opening.closers
            if tag.stem in self.openers:
                self.openers.remove(tag.stem)
        self._tagged = True
        if self.calls:
            self._possible_end = tag.end
        return tag.end

    def _take(self, calls: list[Call], end: int) -> int:
        self.calls += calls
        self._possible_end = end
        self._closed = False
        return end
