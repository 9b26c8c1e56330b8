"""Tags with a name in them: `<function=add>`, `<invoke name="add">`."""

import re
from collections.abc import Iterable
from functools import lru_cache

MAX_HEADER = 512
"""No tag is longer, with all its attributes."""


LINE_END = "\n"


class Header:
    """The inside of a tag, behind its opener.

    It ends with `end`, which is part of the tag and may be missing, and before any of `stops` or the end of the line. With
    `quoted`, neither counts between double quotes.
    """

    __slots__ = ("_pattern",)

    def __init__(self, end: str, stops: Iterable[str], *, quoted: bool) -> None:
        before = f"(?={'|'.join(map(re.escape, filter(None, (LINE_END, *stops))))})"
        ends = f"{re.escape(end)}|{before}" if end else before
        inside = r'"[^"\n]*+(?:"|(?=\n))|' if quoted else ""
        char = '[^"]' if quoted else "."
        self._pattern = re.compile(f"((?:{inside}(?!{ends}){char})*+)(?:{ends})", re.DOTALL)

    def read(self, text: str, pos: int) -> tuple[str, int] | None:
        """The inside and the end of the tag; None where it is not there yet, or `too_long`."""
        found = self._pattern.match(text, pos, pos + MAX_HEADER)
        return (found[1], found.end()) if found else None

    @staticmethod
    def too_long(text: str, pos: int) -> bool:
        """Is this no tag at all?"""
        return len(text) - pos >= MAX_HEADER


def name_in(header: str, attribute: str) -> str:
    """The name in the inside of a tag, under its attribute or by itself, in quotes or not; "" where there is none."""
    found = attribute_in(header, attribute or "name")
    return header.strip(" \t\r\n\"'=:") if found is None else found


def attribute_in(header: str, attribute: str) -> str | None:
    """The value of an attribute."""
    found = _attribute(attribute).search(header)
    return None if found is None else found[1] if found[1] is not None else found[2]


@lru_cache
def _attribute(name: str) -> re.Pattern[str]:
    return re.compile(rf"""(?:^|\s){re.escape(name)}\s*=\s*(?:"([^"]*)"|["']?([^\s"'>]+))""")
