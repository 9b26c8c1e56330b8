"""Reading of tags that hold a name: `<function=add>`, `<invoke name="add">`."""

import re
from collections.abc import Iterable
from functools import lru_cache

MAX_HEADER = 512
"""Characters of the longest tag with all its attributes."""

LINE_END = "\n"


class TagReader:
    """Reads the inside of a tag, from after its opener on.

    The tag ends with `end`, which is part of it and may be missing, or before any of `stops` or the end of the line. With
    `quoted`, none of these counts between double quotes.
    """

    __slots__ = ("_pattern",)

    def __init__(self, end: str, stops: Iterable[str], *, quoted: bool) -> None:
        before = f"(?={'|'.join(map(re.escape, filter(None, (LINE_END, *stops))))})"
        ends = f"{re.escape(end)}|{before}" if end else before
        inside = r'"[^"\n]*+(?:"|(?=\n))|' if quoted else ""
        char = '[^"]' if quoted else "."
        self._pattern = re.compile(f"((?:{inside}(?!{ends}){char})*+)(?:{ends})", re.DOTALL)

    def read(self, text: str, pos: int) -> tuple[str, int] | None:
        """The inside and the end of the tag; None if its end has not come, or if it is `too_long`."""
        found = self._pattern.match(text, pos, pos + MAX_HEADER)
        return (found[1], found.end()) if found else None

    @staticmethod
    def too_long(text: str, pos: int) -> bool:
        """Whether the text is too long to be a tag."""
        return len(text) - pos >= MAX_HEADER


def name_in(header: str, attribute: str) -> str:
    """The name in the inside of a tag, in its attribute or alone, in quotes or not; "" if there is none."""
    found = attribute_in(header, attribute or "name")
    return header.strip(" \t\r\n\"'=:") if found is None else found


def attribute_in(header: str, attribute: str) -> str | None:
    """The value of an attribute in the inside of a tag, or None."""
    found = _attribute(attribute).search(header)
    return None if found is None else found[1] if found[1] is not None else found[2]


@lru_cache
def _attribute(name: str) -> re.Pattern[str]:
    return re.compile(rf"""(?:^|\s){re.escape(name)}\s*=\s*(?:"([^"]*)"|["']?([^\s"'>]+))""")
