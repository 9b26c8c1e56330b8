"""Finding the first of several markers in text that comes in pieces."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_NEVER = "(?!)"


class Found(NamedTuple):
    """A marker at `start`; with an empty `marker`, text that may be the beginning of one and cannot be told yet."""

    start: int
    marker: str


class Markers:
    """A set of markers, compiled. The longest that fits wins, wherever the text is cut into pieces."""

    __slots__ = ("_begun", "_complete", "_first")

    def __init__(self, markers: Iterable[str]) -> None:
        longest_first = sorted(set(markers), key=lambda marker: (-len(marker), marker))
        firsts = re.escape("".join(sorted({marker[0] for marker in longest_first})))
        self._first = re.compile(f"[{firsts}]" if firsts else _NEVER)
        self._begun = re.compile("|".join(f"{_any_prefix(marker)}\\Z" for marker in longest_first) or _NEVER)
        self._complete = re.compile("|".join(map(re.escape, longest_first)) or _NEVER)

    def find(self, text: str, pos: int, *, final: bool) -> Found | None:
        """The first marker at or behind `pos`, or the place where the text ends inside one; `final`: no more text comes."""
        while first := self._first.search(text, pos):
            pos = first.start()
            if found := self.match(text, pos, final=final):
                return found
            pos += 1
        return None

    def match(self, text: str, pos: int, *, final: bool) -> Found | None:
        """As `find`, but at `pos` and nowhere else."""
        if not final and self._begun.match(text, pos):
            return Found(pos, "")
        if complete := self._complete.match(text, pos):
            return Found(pos, complete.group())
        return None


def _any_prefix(marker: str) -> str:
    """A pattern for every proper prefix of `marker`, the longest that fits: `abc` gives `a(?:b)?`."""
    if len(marker) == 1:
        return _NEVER
    pattern = ""
    for char in reversed(marker[1:-1]):
        pattern = f"(?:{re.escape(char)}{pattern})?"
    return re.escape(marker[0]) + pattern
