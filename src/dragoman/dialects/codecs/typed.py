"""Values that are written as plain text, typed by the tool's JSON Schema.

A value whose schema allows strings alone is one, whatever it looks like (`007`), and goes out as it comes. One that may be
something else is kept until it is whole and read as JSON, or as the Python that models write into it (`True`, `{'a': None}`);
the reading counts if its type is one that the schema allows. Where a string is allowed too, anything else is that string. A
value that fits no allowed type is passed on as what it looks like, and the client's own validation has the last word.
"""

import json
import re

from dragoman.dialects.codecs.json_value import JsonValue
from dragoman.dialects.codecs.literal import CONTAINERS, Literal
from dragoman.dialects.codecs.numbers import MAX_SCALAR, scalar
from dragoman.json_schema.view import ANY, STRING

_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_CONTROL = re.compile(r"[\x00-\x1f\"\\]")


def escape(text: str) -> str:
    """Text as the inside of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1] if _CONTROL.search(text) else text


class Leaf:
    """One value on its way from text to JSON: what is certain comes out, the rest is kept."""

    __slots__ = ("_kept", "_kinds", "_open", "_repairs", "_size")

    def __init__(self, kinds: frozenset[str], repairs: list[str]) -> None:
        self._kinds = kinds or STRING
        self._repairs = repairs
        self._kept: list[str] = []
        self._size = 0
        self._open = False  # has a JSON string been begun?

    def write(self, text: str) -> str:
        """The next piece of the value; returns the JSON text that it makes certain."""
        if self._open:
            return escape(text)
        self._kept.append(text)
        self._size += len(text)
        if self._kinds == STRING or self._must_be_string():
            return self._begin()
        return ""

    def end(self) -> str:
        """The value is whole; returns the rest of its JSON text."""
        if self._open:
            return '"'
        if self._kinds == STRING:
            return self._begin() + '"'
        written, repairs = read_typed("".join(self._kept), self._kinds)
        self._repairs += repairs
        return written

    def close(self) -> str:
        """The value was cut off: what makes valid JSON of it."""
        return '"' if self._open else "null"

    def _begin(self) -> str:
        self._open = True
        kept = "".join(self._kept)
        self._kept.clear()
        return '"' + escape(kept)

    def _must_be_string(self) -> bool:
        if "string" not in self._kinds or self._size <= MAX_SCALAR:
            return False
        start = next((piece for kept in self._kept if (piece := kept.lstrip())), "")
        return not (start.startswith(CONTAINERS) and self._kinds & {"array", "object"})


def read_typed(text: str, kinds: frozenset[str]) -> tuple[str, list[str]]:
    """A whole value as JSON text of one of these types, and the names of the repairs."""
    word = text.strip()
    read = _read(word)
    if read is None and (kinds == ANY or "string" not in kinds) and _QUOTED.fullmatch(word):
        inside = json.loads(word)
        if kinds == ANY:
            return json.dumps(inside, ensure_ascii=False), []
        read = _read(inside.strip())
    if read is not None:
        written, kind, repairs = read
        if kind in kinds or (kind in ("integer", "number") and kinds & {"integer", "number"}):
            return written, repairs
        if "string" not in kinds:
            return written, [*repairs, "type"]
    return f'"{escape(text)}"', [] if "string" in kinds else ["type"]


def _read(text: str) -> tuple[str, str, list[str]] | None:
    """A value that is no string, as JSON text, its type, and the names of the repairs."""
    if not text.startswith(CONTAINERS):
        return scalar(text)
    for reader in (JsonValue([]), Literal([])):
        end = reader.read(text, 0)
        if reader.done and end == len(text) and not (isinstance(reader, JsonValue) and reader.repairs):
            written = "".join(reader.out)
            kind = {"{": "object", "[": "array"}.get(written[0])
            return (written, kind, reader.repairs) if kind else None
    return None
