"""The states of the parser in which it looks for markers: text and reasoning.

The text between two markers is passed on at once, except for space at its end, which is markup or text depending on what
follows (`space`).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from dragoman.dialects.markdown import CodeTracker
from dragoman.dialects.marker_sets import MarkerSets, MarkerTable, Meaning
from dragoman.dialects.marks import broken
from dragoman.dialects.spec import Calls, Reasoning
from dragoman.parts import Part, Text, Thinking

MAX_TAG = 256
"""Characters of the longest citation tag, and of the longest space between an opener and its repetition."""

_WORD = re.compile(r"\S")


class Event(NamedTuple):
    """A marker that changes the state of the parser. With `Meaning.CALL`, `forms` are the forms of calls that it opens."""

    meaning: Meaning
    marker: str
    forms: tuple[Calls, ...] = ()


class Span(ABC):
    """Reads text or reasoning, and passes it on as parts."""

    _part: ClassVar[type[Text] | type[Thinking]]
    _markup_space: ClassVar[str | None] = None
    """The characters at the end of a piece that may be markup; None: all space."""

    def __init__(self, sets: MarkerSets, table: MarkerTable, *, after_markup: bool, refused: bool) -> None:
        self._find, self._may_begin = table.markers.find, table.markers.may_begin
        self._meanings = table.meanings
        self._openers = sets.openers
        self._bare: Mapping[str, tuple[Calls, ...]] = {}
        self.code = CodeTracker()
        self.space = ""
        """Space after the last word, and possible stop strings."""
        self.after_markup = after_markup
        """Whether only markup and space came since the span began or was resumed."""
        self.has_words = False
        """Whether there was text other than space."""
        self.ends_in_words = True
        """Whether no markup came since the last word, so that space at the end of the output would belong to it."""
        self.refused = refused
        """Whether the last call was refused, or quoted: its closers are text as well."""

    def read(self, text: str, pos: int, out: list[Part], *, final: bool) -> tuple[int, Event | None]:
        """Read up to the next marker that changes the state: the end of what was consumed, and that marker.

        Without one, that is the end of the text, or the position where it is undecided. `final`: no more text comes.
        """
        while pos < len(text):
            found = self._find(text, pos, final=final) if self._may_begin(text, pos) else None
            if self._bare and (forms := self._bare_call(text, pos, found.start if found else len(text))):
                return pos, Event(Meaning.CALL, "", forms)
            if found is None:
                self.write(text[pos:] if pos else text, out)
                return len(text), None
            if found.start > pos:
                self.write(text[pos : found.start], out)
            if not found.marker:
                return found.start, None
            pos = found.start + len(found.marker)
            meaning = self._meanings[found.marker]
            dropped = _dropped_end(meaning, found.marker, text, pos, final=final)
            if dropped is None:
                if not self._keep(meaning, found.marker, out):
                    return pos, Event(meaning, found.marker, self._openers.get(found.marker, ()))
            elif dropped < 0:
                return found.start, None
            else:
                pos = dropped
        return pos, None

    def _keep(self, meaning: Meaning, marker: str, out: list[Part]) -> bool:
        """Read a marker that does not change the state; returns whether it is one."""
        match meaning:
            case Meaning.TEXT:
                self.write(marker, out)
            case Meaning.SPELLED:
                self.write(broken(marker), out)
            case Meaning.CALL | Meaning.CALL_END if self._in_code:
                self.refused = self.refused or meaning is Meaning.CALL
                self.write(marker, out)
            case Meaning.STOP:
                self.space += marker
            case Meaning.CITATION:
                self.write("" if marker.endswith(">") else marker, out)
            case Meaning.CALL_END if self.refused:
                self.write(marker, out)
            case Meaning.CALL_END | Meaning.DROPPED:
                self.drop_markup()
            case _:
                return False
        return True

    def write(self, text: str, out: list[Part]) -> None:
        """Pass on text; space at its end, which may be markup, waits in `space`."""
        self.code.write(text)
        body = text.rstrip(self._markup_space)
        if not body or (self.after_markup and not body.strip()):
            self.space += text
            return
        written = self.space + body if self.space else body
        self.space = text[len(body) :]
        if self.after_markup:
            self.after_markup = False
            words = written.lstrip()
            written = written[: -len(words)].rpartition("\n")[2] + words
        self.has_words = self.ends_in_words = True
        out.append(self._part(written))

    def _bare_call(self, text: str, pos: int, end: int) -> tuple[Calls, ...]:
        """The forms of calls of which one begins with the next word, before `end`, without an opener."""
        word = None if self.has_words else _WORD.search(text, pos, end)
        return self._bare.get(word.group(), ()) if word else ()

    @abstractmethod
    def drop_markup(self) -> None:
        """Drop a marker."""

    @property
    @abstractmethod
    def _in_code(self) -> bool:
        """Whether a call here is only quoted, as part of code."""


class TextSpan(Span):
    """The visible text of an output; reasoning, calls and headers interrupt it."""

    _part = Text

    def __init__(self, sets: MarkerSets, reasoning: Reasoning | None, stops: tuple[str, ...]) -> None:
        super().__init__(sets, sets.text, after_markup=False, refused=False)
        self._bare = sets.bare
        self._word_like = reasoning.word_like_markers if reasoning else ()
        self._stops = stops
        self._has_reasoning = False  # the last reasoning was not empty

    def forbid_bare_calls(self) -> None:
        """Read no more calls without an opener: one was refused."""
        self._bare = {}

    def interrupt(self) -> None:
        """Begin reasoning here."""
        self.ends_in_words = False
        if not self.has_words:
            self.space = ""

    def resume(self, reasoning: "ReasoningSpan") -> None:
        """Go on after reasoning, which is as if it were not there if it is empty."""
        self._has_reasoning = reasoning.has_words
        is_dropped = self.has_words and not reasoning.has_words
        if not is_dropped:
            self.space = ""
        self.after_markup = not is_dropped
        self.refused = reasoning.refused
        self.code = CodeTracker()

    def drop_markup(self) -> None:
        """Drop a marker: before the first word, the space around it is dropped as well."""
        self.ends_in_words = False
        if not self.has_words:
            self.space, self.after_markup = "", True

    def finish(self, out: list[Part]) -> None:
        """Pass on the space at the end, without stop strings, if it is text."""
        if not self.ends_in_words:
            return
        for stop in self._stops:
            self.space = self.space.replace(stop, "")
        if self.space:
            out.append(Text(self.space))

    def _keep(self, meaning: Meaning, marker: str, out: list[Part]) -> bool:
        if meaning is Meaning.REASONING and marker in self._word_like and (self.has_words or self._has_reasoning):
            meaning = Meaning.TEXT
        return super()._keep(meaning, marker, out)

    @property
    def _in_code(self) -> bool:
        return self.code.in_span or self.code.in_fence


class ReasoningSpan(Span):
    """One run of reasoning. `at_start`: no text came before it."""

    _part = Thinking
    _markup_space = "\n"

    def __init__(self, sets: MarkerSets, reasoning: Reasoning | None, *, at_start: bool, refused: bool) -> None:
        super().__init__(sets, sets.reasoning, after_markup=True, refused=refused)
        self._word_like = reasoning.word_like_markers if reasoning else ()
        self._at_start = at_start
        self._misspelled = False  # the opener of a misspelled closer came

    def _keep(self, meaning: Meaning, marker: str, out: list[Part]) -> bool:
        match meaning:
            case Meaning.MISSPELLED_OPENER:
                self._misspelled = True
                self.write(marker, out)
            case Meaning.MISSPELLED_END if self._misspelled:
                self.write(marker, out)
            case Meaning.REASONING:  # a repeated opener
                if marker in self._word_like and (self.has_words or not self._at_start):
                    self.write(marker, out)
            case _:
                return super()._keep(meaning, marker, out)
        return True

    def drop_markup(self) -> None:
        """Drop a marker; space around it stays."""

    @property
    def _in_code(self) -> bool:
        return self.code.in_span


def _dropped_end(meaning: Meaning, marker: str, text: str, end: int, *, final: bool) -> int | None:
    """The end of the markup to drop here, if the marker is only dropped; -1 while that is undecided, None otherwise."""
    if meaning is Meaning.CALL:
        rest = text[end : end + MAX_TAG]
        words = rest.lstrip()
        if words.startswith(marker):  # a repeated opener: the second one counts
            return end + len(rest) - len(words)
        return -1 if marker.startswith(words) and len(rest) < MAX_TAG and not final else None
    if meaning is Meaning.CITATION and not marker.endswith(">"):
        close = text.find(">", end, end + MAX_TAG)
        return close + 1 if close >= 0 else -1 if len(text) - end < MAX_TAG and not final else None
    return None
