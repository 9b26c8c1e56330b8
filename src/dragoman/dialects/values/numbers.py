"""Converts numbers and literal words as models write them, in JSON, in Python and as plain text, into JSON.

JSON has one spelling of a number; Python and models have more (`+7`, `.5`, `5.`, `1_000`, `0x1f`, `007`). NaN, the infinities
and numbers that a double cannot hold are not JSON: they become `null`, as in JavaScript's `JSON.stringify`.
"""

import re
from math import isfinite

MAX_SCALAR = 64
"""Characters of the longest text that is read as a number or a literal word."""

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_DECIMAL = re.compile(r"(?=[-+]?\.?[0-9])([-+]?)([0-9]+(?:_[0-9]+)*)?(?:\.([0-9]+(?:_[0-9]+)*)?)?([eE][-+]?[0-9]+)?")
_PREFIXED = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0[oO][0-7]+(?:_[0-7]+)*|0[bB][01]+(?:_[01]+)*)")
_NOT_A_NUMBER = re.compile(r"[-+]?(?:[nN]a[nN]|NAN|[iI]nf(?:inity)?|INF(?:INITY)?)")
_EXACT = 2**53
"""A double holds every integer up to this one."""
_WORDS = {
    "true": ("true", "boolean"), "True": ("true", "boolean"), "false": ("false", "boolean"), "False": ("false", "boolean"),
    "null": ("null", "null"), "None": ("null", "null"),
}  # fmt: skip


def scalar(word: str) -> tuple[str, str, list[str]] | None:
    """A word as JSON text, its type and the names of the repairs; None if it is neither a number nor a literal.

    Numbers with leading zeros are not read, because they may be codes; nor are numbers with a prefix, as `0x1f`.
    """
    if known := _WORDS.get(word):
        return *known, [] if known[0] == word else ["literal"]
    if number := _JSON_NUMBER.fullmatch(word):
        if not (number[1] or number[2]):
            return word, "integer", []
        return (word, "number", []) if isfinite(float(word)) else None
    if (decimal := _decimal(word)) and not re.match(r"[-+]?0[0-9_]", word):
        return decimal, "integer" if decimal.lstrip("-").isdigit() else "number", ["literal"]
    return None


def python_scalar(word: str) -> tuple[str, str, list[str]] | None:
    """The result of `scalar`, but numbers that are not finite and integers with a prefix are read too."""
    if _NOT_A_NUMBER.fullmatch(word) or (_DECIMAL.fullmatch(word) and not isfinite(float(word))):
        return "null", "null", ["literal"]
    if (prefixed := _PREFIXED.fullmatch(word)) and len(word) <= MAX_SCALAR:
        value = int(prefixed[2], 0)
        return str(-value if prefixed[1] == "-" else value), "integer", ["literal"]
    return scalar(word)


def spelled_scalar(text: str, kinds: frozenset[str]) -> str | None:
    """The value that a string spells, as JSON text; None if it has none of these types, which do not include `string`."""
    word = text.strip()
    if len(word) > MAX_SCALAR:
        return None
    if len(word) > 1 and word[0] == word[-1] == '"':
        word = word[1:-1].strip()
    read = None if _NOT_A_NUMBER.fullmatch(word) else python_scalar(word)
    if read is None and (decimal := _decimal(word)):  # leading zeros: a code would have the type string
        read = decimal, "integer" if decimal.lstrip("-").isdigit() else "number", []
    if read is None:
        return None
    written, kind, _ = read
    if kind == "null" and word not in ("null", "None"):
        return None
    if kind in kinds:
        return written
    return str(int(float(written))) if kind == "number" and "integer" in kinds and is_integer(written) else None


def is_integer(number: str) -> bool:
    """Whether this JSON number has no fraction; for one that a double does not hold exactly, its spelling decides."""
    if number.lstrip("-").isdigit():
        return True
    value = float(number)
    return value.is_integer() and abs(value) <= _EXACT


def _decimal(word: str) -> str:
    """A number in Python's spelling, or with leading zeros, as JSON text; "" if it is not one that JSON can hold."""
    found = _DECIMAL.fullmatch(word)
    if found is None:
        return ""
    whole = (found[2] or "0").replace("_", "").lstrip("0") or "0"
    fraction = f".{found[3].replace('_', '')}" if found[3] else ""
    written = ("-" if found[1] == "-" else "") + whole + fraction + (found[4] or "")
    return written if not (fraction or found[4]) or isfinite(float(written)) else ""
