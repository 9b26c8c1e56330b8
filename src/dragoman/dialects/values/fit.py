r"""Fits arguments to the tool's schema if there is exactly one way to do it (CC-9), whatever codec read them.

A codec writes JSON text. `Fit` takes it in pieces and passes on all that the schema allows, byte for byte and at once. Only a
value of a type that the schema does not allow is kept until it is complete, and changed if there is one way to do it:

    "50", "true", "null"       if no string is allowed                 the number, boolean or null that it spells
    "[1, 2]", "{\"a\": 1}"     if no string is allowed                 the array or object that it spells
    50, true                   if only a string is allowed             "50", "true"
    50, "a", {"a": 1}          if an array of these is expected        an array of the one value

Whether `null` is allowed too makes no difference. Anything else is passed on unchanged, and the client's own validation
decides. Each change is a repair with the name `type`.
"""

import json
import re
from dataclasses import dataclass
from enum import Enum, auto

from dragoman.dialects.values.json_value import MAX_DEPTH, JsonValue
from dragoman.dialects.values.numbers import is_integer, spelled_scalar
from dragoman.json_schema.view import ANY, SchemaView

_TOKEN = re.compile(r'[\s:,]+|[{}\[\]"]|[^\s:,{}\[\]"]+')
_INSIDE = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SEVERAL = re.compile(r"[,;\n\[\]{}]")
"""Characters of a list in some notation: a string that contains one does not become the only element of an array."""


class _String(Enum):
    """The treatment of the string that is being read."""

    NONE = auto()
    KEY = auto()
    PASSED = auto()
    KEPT = auto()


@dataclass(slots=True)
class _Container:
    """An open container: its schema, and the text to write after its closing bracket."""

    view: SchemaView
    is_object: bool
    after: str
    index: int = 0  # of the next element
    expects_key: bool = True


class Fit:
    """Fits the arguments of one call. The text may be split inside strings, but not inside words and escapes."""

    __slots__ = ("_containers", "_depth", "_kept", "_key", "_next", "_repairs", "_string")

    def __init__(self, view: SchemaView, repairs: list[str], depth: int = 0) -> None:
        self._repairs = repairs
        self._depth = depth  # number of containers around the value
        self._containers: list[_Container] = []
        self._next = view  # schema of the next value
        self._string = _String.NONE
        self._key: list[str] = []
        self._kept: _KeptString | None = None

    def write(self, text: str) -> str:
        """Add the next piece of the JSON text; returns the text that is now certain."""
        if self._string is _String.PASSED and '"' not in text:
            return text
        out: list[str] = []
        pos = 0
        while pos < len(text):
            pos = self._token(text, pos, out) if self._string is _String.NONE else self._inside(text, pos, out)
        return "".join(out)

    def _inside(self, text: str, pos: int, out: list[str]) -> int:
        """Read a piece of a string, and its closing quote if that comes."""
        found = _INSIDE.match(text, pos)
        end = found.end() if found else pos
        if self._kept is not None:
            self._kept.write(text[pos:end])
        else:
            out.append(text[pos : end + 1])
            if self._string is _String.KEY:
                self._key.append(text[pos:end])
        if end < len(text):
            self._end_string(out)
        return end + 1

    def _end_string(self, out: list[str]) -> None:
        if self._kept is not None:
            written, is_changed = self._kept.end()
            self._changed(is_changed)
            out.append(written)
            self._kept = None
        elif self._string is _String.KEY:
            container = self._containers[-1]
            self._next = container.view.member(json.loads(f'"{"".join(self._key)}"'))
            self._key.clear()
        self._string = _String.NONE

    def _token(self, text: str, pos: int, out: list[str]) -> int:
        found = _TOKEN.match(text, pos)
        assert found is not None
        token = found.group()
        match token[0]:
            case '"':
                self._begin_string(out)
            case "{" | "[":
                out.append(self._open(token))
            case "}" | "]":
                out.append(token + self._containers.pop().after)
            case char if char.isspace() or char in ",:":
                out.append(token)
                self._separator(token)
            case _:
                out.append(self._scalar(token))
        return found.end()

    def _separator(self, token: str) -> None:
        if not self._containers:
            return
        container = self._containers[-1]
        if "," in token:
            container.index += 1
            container.expects_key = True
        elif ":" in token:
            container.expects_key = False

    def _view(self) -> SchemaView:
        """The schema of the value that begins here."""
        if self._containers and not self._containers[-1].is_object:
            return self._containers[-1].view.element(self._containers[-1].index)
        return self._next

    def _begin_string(self, out: list[str]) -> None:
        if self._containers and self._containers[-1].is_object and self._containers[-1].expects_key:
            self._string = _String.KEY
        else:
            view = self._view()
            is_allowed = "string" in view.kinds and (view.strings is None or view.kinds <= {"string", "null"})
            self._string = _String.PASSED if is_allowed else _String.KEPT
            if not is_allowed:
                self._kept = _KeptString(view, self._depth + len(self._containers))
        if self._kept is None:
            out.append('"')

    def _open(self, bracket: str) -> str:
        view, kind = self._view(), "object" if bracket == "{" else "array"
        is_wrapped = kind == "object" and _is_element(view, kind)
        if is_wrapped:
            view = view.element(0)
        self._changed(is_wrapped)
        self._containers.append(_Container(view, kind == "object", "]" if is_wrapped else ""))
        return "[" + bracket if is_wrapped else bracket

    def _scalar(self, word: str) -> str:
        view = self._view()
        kind = _scalar_kind(word)
        if kind in view.kinds or kind == "null":
            return word
        is_text = "string" in view.kinds and view.kinds <= {"string", "null"} and (view.strings is None or word in view.strings)
        is_wrapped = not is_text and _is_element(view, kind)
        self._changed(is_text or is_wrapped)
        return f'"{word}"' if is_text else f"[{word}]" if is_wrapped else word

    def _changed(self, is_changed: bool) -> None:
        if is_changed:
            self._repairs.append("type")


class _KeptString:
    """A string that the schema does not allow as it is. An array or object that it spells is read as it arrives."""

    __slots__ = ("_depth", "_fit", "_fitted", "_is_begun", "_pieces", "_reader", "_unread", "_view")

    def __init__(self, view: SchemaView, depth: int) -> None:
        self._view = view
        self._depth = depth
        self._pieces: list[str] = []  # its inside, as JSON text
        self._is_begun = False
        self._reader: JsonValue | None = None  # reads the array or object that it spells, if it spells one
        self._unread = ""  # text that the reader has not decided on yet
        self._fit = Fit(view, [], depth)
        self._fitted: list[str] = []

    def write(self, piece: str) -> None:
        """Add the next piece of its inside."""
        self._pieces.append(piece)
        if self._is_begun and self._reader is None:
            return
        text = json.loads(f'"{piece}"') if "\\" in piece else piece
        if not self._is_begun:
            text = text.lstrip()
            self._is_begun = text != ""
            if text.startswith(("{", "[")) and {"array", "object"} & self._view.kinds:
                self._reader = JsonValue([], MAX_DEPTH - self._depth)
        if self._reader is not None:
            self._read(self._reader, self._unread + text)

    def _read(self, reader: JsonValue, text: str) -> None:
        end = reader.read(text, 0)
        self._unread = text[end:].strip() if reader.done else text[end:]
        self._fitted.append(self._fit.write("".join(reader.out)))
        reader.out.clear()
        if reader.stuck or (reader.done and self._unread):
            self._reader = None

    def end(self) -> tuple[str, bool]:
        """The JSON text of the value that replaces it, and whether that is another value."""
        whole = "".join(self._pieces)
        text = json.loads(f'"{whole}"')
        if "string" in self._view.kinds and text in (self._view.strings or ()):
            return f'"{whole}"', False
        if (spelled := spelled_scalar(text, self._view.kinds)) is not None:
            return spelled, True
        if self._reader is not None and self._reader.done:
            fitted = "".join(self._fitted)
            if ("object" if fitted[0] == "{" else "array") in self._view.kinds:
                return fitted, True
        elif not _SEVERAL.search(text) and _is_element(self._view, "string"):
            return f'["{whole}"]', True
        return f'"{whole}"', False


def fitted(arguments: str, view: SchemaView, repairs: list[str]) -> str:
    """Complete arguments, one JSON object, fitted to the schema; the names of the repairs are appended."""
    return Fit(view, repairs).write(arguments)


def _is_element(view: SchemaView, kind: str) -> bool:
    """Whether the schema expects an array, and declares that it holds values of this type."""
    if "array" not in view.kinds or not view.kinds <= {"array", "null"}:
        return False
    inside = view.element(0).kinds
    return inside != ANY and kind in inside


def _scalar_kind(word: str) -> str:
    if word in ("true", "false"):
        return "boolean"
    if word == "null":
        return "null"
    return "integer" if is_integer(word) else "number"
