"""Converts the inside of a Python string into the inside of a JSON string, piece by piece."""

import json
import re

from dragoman.dialects.values.json_text import escape

PREFIX = re.compile(r"(?:[rRbBuUfF]|[rR][bBfF]|[bBfF][rR])(?=[\"'])")
"""The prefix of a string's quote: of a raw, bytes, unicode or formatted string."""
PREFIX_BEGINS = re.compile(r"[rRbBuUfF]{1,2}\Z")

_RUN = re.compile(r"[^\\\"'\x00-\x1f]+")
_SIMPLE = {"n": "\\n", "r": "\\r", "t": "\\t", "b": "\\b", "f": "\\f", "a": "\\u0007", "v": "\\u000b", "\n": "", "/": "/"} | {
    char: json.dumps(char)[1:-1] for char in "\\'\""
}
_CODE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3}))")
_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_LOW = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_UNDECIDED = re.compile(
    r"\\(?:x[0-9a-fA-F]?|U[0-9a-fA-F]{0,7}|u[0-9a-fA-F]{0,3}|[0-7]{1,2}"
    r"|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)?\Z"
)


def python_piece(text: str, pos: int) -> tuple[int, str]:
    """The end of the next piece of a Python string's inside, and the piece as JSON text; `pos` and "" if undecided."""
    if run := _RUN.match(text, pos):
        return run.end(), run.group()
    if text[pos] != "\\":
        return pos + 1, json.dumps(text[pos])[1:-1]
    if _UNDECIDED.match(text, pos):
        return pos, ""
    if text[pos + 1] in _SIMPLE:
        return pos + 2, _SIMPLE[text[pos + 1]]
    if high := _HIGH.match(text, pos):
        low = _LOW.match(text, high.end())
        return (low.end(), high.group() + low.group()) if low else (high.end(), "\\ufffd")
    code = _CODE.match(text, pos)
    if code is None:
        return pos + 1, "\\\\"
    digits = code[1] or code[2] or code[3]
    point = int(digits, 16) if digits else int(code[4], 8)
    is_character = point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF
    return code.end(), escape(chr(point)) if is_character else "\\ufffd"


def raw_piece(text: str, pos: int) -> tuple[int, str]:
    """The result of `python_piece` for a raw string, in which a backslash and a quote after it stand for themselves."""
    if run := _RUN.match(text, pos):
        return run.end(), run.group()
    if text[pos] != "\\":
        return pos + 1, json.dumps(text[pos])[1:-1]
    if pos + 1 == len(text):
        return pos, ""
    return pos + 2, escape(text[pos : pos + 2])
