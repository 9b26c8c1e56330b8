"""One call as a JSON object: its name under one key, its arguments under another, in any order, among others."""

import json
from collections.abc import Callable
from enum import Enum, auto

from dragoman.dialects.codecs.json_encoded import EncodedObject
from dragoman.dialects.codecs.json_value import JsonValue
from dragoman.dialects.spec import JsonArguments, JsonKey

_NO_ARGUMENTS = ("null", "[]")  # what models and templates write for none


class _Role(Enum):
    """What the value being read is to us."""

    KEY = auto()
    NAME = auto()
    ARGUMENTS = auto()
    OTHER = auto()


class CallObject:
    """Read from behind its brace, by the rules of `JsonValue`. The owner empties `arguments` as they come."""

    __slots__ = (
        "_broken", "_carrier", "_codec", "_key", "_repairs", "_role", "_step", "_value",
        "arguments", "done", "name", "stuck", "whole",
    )  # fmt: skip

    def __init__(self, carrier: JsonKey, codec: JsonArguments, repairs: list[str]) -> None:
        self.name: str | None = None
        self.arguments: list[str] = []
        self.done = False
        self.stuck = False
        self.whole = False
        """Have the arguments been read to their end?"""
        self._carrier = carrier
        self._codec = codec
        self._repairs = repairs
        self._step: Callable[[CallObject, str, int], int] = CallObject._member
        self._role = _Role.KEY
        self._value: JsonValue | EncodedObject = JsonValue(repairs)
        self._key = ""
        self._broken = False

    def read(self, text: str, pos: int) -> int:
        """As `JsonValue.read`, but stops also where the name has just become known."""
        self.stuck = self._broken
        named = self.name is not None
        while pos < len(text) and not self.done and not self.stuck and named == (self.name is not None):
            before, step = pos, self._step
            pos = self._step(self, text, pos)
            if pos == before and self._step is step:
                break
        return pos

    @property
    def clean(self) -> bool:
        """Does nothing but brackets miss?"""
        if self._step is CallObject._read_value:
            return self._role is _Role.ARGUMENTS and self._value.clean
        return self._step is CallObject._member and not self._broken

    def close(self) -> None:
        """End the object here, with arguments that are valid JSON."""
        if self._step is CallObject._read_value and self._role is _Role.ARGUMENTS:
            self._value.close()
            self._take_arguments()
        elif not self.whole:
            self.arguments.append("{}")
        self.whole = self.done = True

    # The steps, as in `JsonValue`.

    def _member(self, text: str, pos: int) -> int:
        if text[pos] == "}":
            self.close()
            return pos + 1
        if text[pos] in "\"'":
            self._begin(_Role.KEY)
            return pos
        return self._skip(text, pos, ",")

    def _colon(self, text: str, pos: int) -> int:
        if text[pos] == ":":
            self._step = CallObject._before_value
            return pos + 1
        return self._skip(text, pos)

    def _before_value(self, text: str, pos: int) -> int:
        char = text[pos]
        if char.isspace():
            return pos + 1
        if self.name is None and self._key in self._carrier.keys and char in "\"'":
            self._begin(_Role.NAME)
        elif not self.whole and self._key in self._codec.keys and char in "{\"'":
            self._begin(_Role.ARGUMENTS)
            if char != "{":
                self._value = EncodedObject(self._repairs)
        else:
            self._begin(_Role.OTHER)
        return pos

    def _begin(self, role: _Role) -> None:
        self._role = role
        self._value = JsonValue(self._repairs)
        self._step = CallObject._read_value

    def _read_value(self, text: str, pos: int) -> int:
        end = self._value.read(text, pos)
        self.stuck = self._value.stuck
        if self._role is _Role.ARGUMENTS:
            self._take_arguments()
        if self._value.done:
            self._end_value()
        return end

    def _end_value(self) -> None:
        self._step = CallObject._member
        if self._role is _Role.ARGUMENTS:
            self.whole = True
            return
        written = "".join(self._value.out)
        if self._role is _Role.KEY:
            self._key = json.loads(written)
            self._step = CallObject._colon
        elif self._role is _Role.NAME:
            self.name = json.loads(written)
        elif not self.whole and self._key in self._codec.keys and written not in _NO_ARGUMENTS:
            self.stuck = self._broken = True  # arguments that are no object

    def _take_arguments(self) -> None:
        self.arguments += self._value.out
        self._value.out.clear()

    def _skip(self, text: str, pos: int, more: str = "") -> int:
        if text[pos].isspace() or text[pos] in more:
            return pos + 1
        self.stuck = True
        return pos
