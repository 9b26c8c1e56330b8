"""Search for the first of several markers in text that arrives in chunks."""

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_GAP = 256
"""The longest space that may stand between a closer and the markup that confirms it."""

SPACE = re.compile(r"\s+")

_GAP = re.compile(rf"\s{{0,{MAX_GAP}}}")
_NEVER = "(?!)"


def skip_gap(text: str, pos: int) -> int:
    """The end of the space at `pos`, of at most `MAX_GAP` characters."""
    gap = _GAP.match(text, pos)
    assert gap is not None
    return gap.end()


class Found(NamedTuple):
    """A marker at `start`; with an empty `marker`, the end of the text, which may be the beginning of one."""

    start: int
    marker: str


class Markers:
    """A compiled set of markers. The longest one that matches is found, however the text is split into chunks."""

    __slots__ = ("_begun", "_complete", "_first", "may_begin")

    def __init__(self, markers: Iterable[str]) -> None:
        longest_first = sorted(set(markers), key=lambda marker: (-len(marker), marker))
        firsts = re.escape("".join(sorted({marker[0] for marker in longest_first})))
        self._first = re.compile(f"[{firsts}]" if firsts else _NEVER)
        self.may_begin = self._first.search
        """Finds the first character with which a marker may begin: `may_begin(text, pos)`."""
        self._begun = re.compile("|".join(f"{_any_prefix(marker)}\\Z" for marker in longest_first) or _NEVER)
        self._complete = re.compile("|".join(map(re.escape, longest_first)) or _NEVER)

    def find(self, text: str, pos: int, *, final: bool) -> Found | None:
        """The first marker at or after `pos`, or the place where the text ends inside one; `final`: no more text comes."""
        while first := self._first.search(text, pos):
            pos = first.start()
            if found := self.match(text, pos, final=final):
                return found
            pos += 1
        return None

    def match(self, text: str, pos: int, *, final: bool) -> Found | None:
        """The marker at `pos`, as `find` returns it."""
        if not final and self._begun.match(text, pos):
            return Found(pos, "")
        if complete := self._complete.match(text, pos):
            return Found(pos, complete.group())
        return None


def _any_prefix(marker: str) -> str:
    """A pattern that matches the longest proper prefix of `marker`: `abc` gives `a(?:b)?`."""
    if len(marker) == 1:
        return _NEVER
    pattern = ""
    for char in reversed(marker[1:-1]):
        pattern = f"(?:{re.escape(char)}{pattern})?"
    return re.escape(marker[0]) + pattern
