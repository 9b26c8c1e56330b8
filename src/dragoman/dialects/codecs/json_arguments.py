"""F1: the arguments as one JSON object, `{"a": 1}`, or the same object as a JSON string."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dragoman.constraints.tree import Json, Node
from dragoman.dialects.codecs.codec import ArgumentReader, CallTags, Codec
from dragoman.dialects.codecs.rules import Rules
from dragoman.dialects.values.json_encoded import EncodedObject
from dragoman.dialects.values.json_text import dumps
from dragoman.dialects.values.json_value import JsonValue
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import SchemaView


@dataclass(frozen=True, slots=True)
class JsonArguments(Codec):
    """F1: the arguments are a JSON object. With `JsonKey` it is a member of the call's object, under one of `keys`.

    The object may also be written as a JSON string, or be left out if it is empty. A block may hold one call, several, or an
    array of calls, and its JSON may be in a Markdown fence: all of these are read, and two fields say which of them is
    written.
    """

    keys: tuple[str, ...] = ("arguments", "parameters")
    array: bool = False
    """Whether calls are written as an array: `[{"name": "add", "arguments": {"a": 1}}]`."""
    fenced: bool = False
    """Whether the JSON is written in a Markdown fence."""
    raw: bool = False
    """Whether a message to a tool (A) may be plain text: it is then the value of the only argument that the tool requires."""

    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        """Return a reader of the object, or of the string that holds it."""
        return _ObjectReader(repairs)

    def write(self, arguments: Mapping[str, Any]) -> str:
        """Write the object."""
        return dumps(arguments)

    def constraint(self, schema: Schema, rules: Rules) -> Node:
        """Leave JSON to the engine."""
        return Json({"type": "object", **schema})


class _ObjectReader(ArgumentReader):
    """Reads one object; a call may have none."""

    def __init__(self, repairs: list[str]) -> None:
        super().__init__()
        self._repairs = repairs
        self._value: JsonValue | EncodedObject | None = None

    @property
    def clean(self) -> bool:
        """Whether only brackets are missing."""
        return self._value is None or self._value.clean

    @property
    def may_end(self) -> bool:
        """Whether the object is complete, or has not begun."""
        return self._value is None or self._value.done

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes."""
        if self._value is None:
            self.stuck = text[pos] not in "{\"'"
            if self.stuck:
                return pos
            self._value = JsonValue(self._repairs) if text[pos] == "{" else EncodedObject(self._repairs)
        pos = self._value.read(text, pos)
        self.stuck, self.done = self._value.stuck, self._value.done
        self._take(self._value)
        return pos

    def close(self) -> None:
        """End the object here."""
        value = self._value = self._value or JsonValue(self._repairs)
        value.close()
        self._take(value)
        self.done = True

    def _take(self, value: JsonValue | EncodedObject) -> None:
        self.out += value.out
        value.out.clear()
