"""Values that are written as plain text, typed by the tool's JSON Schema.

A value whose schema allows only strings is a string, whatever it looks like (`007`), and streams as it arrives. One that may
have another type is kept until it is complete and read as JSON, or as the Python that models write instead (`True`, `{'a':
None}`); the result counts if the schema allows its type. If the schema allows strings too, any other text is a string. A value
that has none of the allowed types is passed on with the type that it looks like, and the client's own validation decides.
"""

import json
import re

from dragoman.dialects.values.json_text import dumps, escape
from dragoman.dialects.values.json_value import JsonValue
from dragoman.dialects.values.literal_value import CONTAINERS, LiteralValue
from dragoman.dialects.values.numbers import MAX_SCALAR, scalar
from dragoman.json_schema.view import ANY, STRING

_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')


class TypedValue:
    """Converts one value from text to JSON: text that is certain is returned, the rest is kept."""

    __slots__ = ("_kept", "_kinds", "_open", "_repairs", "_size")

    def __init__(self, kinds: frozenset[str], repairs: list[str]) -> None:
        self._kinds = kinds or STRING
        self._repairs = repairs
        self._kept: list[str] = []
        self._size = 0
        self._open = False  # a JSON string has begun

    def write(self, text: str) -> str:
        """Add the next piece of the value; returns the JSON text that is now certain."""
        if self._open:
            return escape(text)
        self._kept.append(text)
        self._size += len(text)
        if self._kinds == STRING or self._must_be_string():
            return self._begin()
        return ""

    def end(self) -> str:
        """End a complete value; returns the rest of its JSON text."""
        if self._open:
            return '"'
        if self._kinds == STRING:
            return self._begin() + '"'
        written, repairs = read_typed("".join(self._kept), self._kinds)
        self._repairs += repairs
        return written

    def close(self) -> str:
        """End a value that was cut off; returns the rest that makes it valid JSON."""
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
    """A complete value as JSON text of one of these types, and the names of the repairs."""
    word = text.strip()
    read = _read(word)
    if read is None and (kinds == ANY or "string" not in kinds) and _QUOTED.fullmatch(word):
        inside = json.loads(word)
        if kinds == ANY:
            return dumps(inside), []
        read = _read(inside.strip())
    if read is not None:
        written, kind, repairs = read
        if kind in kinds or (kind in ("integer", "number") and kinds & {"integer", "number"}):
            return written, repairs
        if "string" not in kinds:
            return written, [*repairs, "type"]
    return f'"{escape(text)}"', [] if "string" in kinds else ["type"]


def _read(text: str) -> tuple[str, str, list[str]] | None:
    """A value that is not a string: its JSON text, its type, and the names of the repairs; None if it is none."""
    if not text.startswith(CONTAINERS):
        return scalar(text)
    for reader in (JsonValue([]), LiteralValue([])):
        end = reader.read(text, 0)
        if reader.done and end == len(text) and not (isinstance(reader, JsonValue) and reader.repairs):
            written = "".join(reader.out)
            kind = {"{": "object", "[": "array"}.get(written[0])
            return (written, kind, reader.repairs) if kind else None
    return None
