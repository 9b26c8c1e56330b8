"""A codec: one argument per line, as `a = 1`, with its value in JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dragoman.constraints.tree import Json, Literal, Node, Series
from dragoman.dialects.codecs import ArgumentReader, CallTags, Codec, Rules
from dragoman.dialects.codecs.rules import object_place, optional
from dragoman.dialects.values.json_text import dumps
from dragoman.dialects.values.json_value import JsonValue
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import SchemaView


@dataclass(frozen=True, slots=True)
class LineArguments(Codec):
    """One argument per line. The fields are what differs between families."""

    bracketed: ClassVar[bool] = False  # the closer of the call ends the arguments

    sign: str = " = "
    """Between the name and the value."""

    @property
    def begins(self) -> str:
        return ""  # no text of its own begins the arguments

    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        return LineReader(self.sign, repairs)

    def write(self, arguments: Mapping[str, Any]) -> str:
        return "".join(f"{name}{self.sign}{dumps(value)}\n" for name, value in arguments.items())

    def constraint(self, schema: Schema, rules: Rules) -> Node:
        lines = (
            optional(Series((Literal(name + self.sign), Json(place.standalone), Literal("\n"))), required)
            for name, place, required in object_place(schema).properties
        )
        return Series(tuple(lines))


class LineReader(ArgumentReader):
    """Reads the lines of one call, however the text is split."""

    def __init__(self, sign: str, repairs: list[str]) -> None:
        super().__init__()
        self._name = re.compile(rf"(\w+){re.escape(sign)}")
        self._undecided = re.compile(rf"\w{{0,64}}[{re.escape(sign)}]*\Z")
        self._repairs = repairs
        self._value: JsonValue | None = None  # the value that is being read
        self._begun = False  # an argument came

    @property
    def clean(self) -> bool:
        return self._value is None or self._value.clean

    @property
    def may_end(self) -> bool:
        return self._value is None

    def read(self, text: str, pos: int, *, final: bool) -> int:
        self.stuck = False
        while pos < len(text):
            before = pos
            pos = self._line(text, pos, final=final) if self._value is None else self._read_value(self._value, text, pos)
            if pos == before:
                break
        return pos

    def _line(self, text: str, pos: int, *, final: bool) -> int:
        if text[pos].isspace():
            return pos + 1
        if found := self._name.match(text, pos):
            self.out.append(f"{', ' if self._begun else '{'}{dumps(found[1])}: ")
            self._begun, self._value = True, JsonValue(self._repairs)
            return found.end()
        self.stuck = final or self._undecided.match(text, pos) is None
        return pos

    def _read_value(self, value: JsonValue, text: str, pos: int) -> int:
        pos = value.read(text, pos)
        self.stuck = value.stuck
        self._take(value)
        if value.done:
            self._value = None
        return pos

    def close(self) -> None:
        if self._value is not None:
            self._value.close()
            self._take(self._value)
        self.out.append("}" if self._begun else "{}")
        self.done = True

    def _take(self, value: JsonValue) -> None:
        self.out += value.out
        value.out.clear()
