"""Writes the patterns of JSON schemas so that llguidance reads them right.

The library (1.0.1) drops what follows a character that JSON writes with a backslash, such as a quote or a line break, if that
is not a literal too: of `"[0-9]+"` it enforces the first quote only, and nothing else is allowed after it. It reads a class
of two characters right. So each of these characters becomes a class with a second one that no text has, U+FFFF.
"""

import re
from typing import Any, Final

from dragoman.json_schema.references import Schema, rewritten

_NO_CHARACTER: Final = "\uffff"
_PIECE: Final = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[xu]\{[0-9a-fA-F]{1,6}\}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL
)
_CODE: Final = re.compile(r"\\[xu]\{?([0-9a-fA-F]+)\}?")
_ESCAPED: Final = frozenset({r"\"", r"\\", r"\n", r"\r", r"\t", r"\f", r"\v"})


def readable(schema: Any) -> Any:
    """The schema with all patterns written in this way."""
    if not isinstance(schema, dict):
        return schema
    made: Schema = {
        word: separated(value) if word == "pattern" and isinstance(value, str) else value for word, value in schema.items()
    }
    return rewritten(made, lambda _, inner: readable(inner))


def separated(pattern: str) -> str:
    """The pattern with a class in place of each character that JSON writes with a backslash."""
    return _PIECE.sub(lambda found: _separated(found.group()), pattern)


def _separated(piece: str) -> str:
    inner = piece[1:-1] if piece.startswith("[") and len(piece) > 2 else piece
    return f"[{inner}{_NO_CHARACTER}]" if _is_escaped_in_json(inner) else piece


def _is_escaped_in_json(piece: str) -> bool:
    """Whether a piece of a pattern is one character that JSON writes with a backslash."""
    if code := _CODE.fullmatch(piece):
        character = chr(min(int(code[1], 16), 0x10FFFF))
        return character in '"\\' or character < " "
    return piece in _ESCAPED or piece == '"' or (len(piece) == 1 and piece < " ")
