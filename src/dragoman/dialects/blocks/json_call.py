"""One call as a JSON object: its name under one key and its arguments under another, in any order and among other keys."""

import json
from collections.abc import Callable
from enum import Enum, auto

from dragoman.dialects.codecs import ArgumentReader
from dragoman.dialects.spec import IdKey, Ids, JsonArguments, JsonKey, KeyIsName
from dragoman.dialects.values.json_encoded import EncodedObject
from dragoman.dialects.values.json_value import JsonValue
from dragoman.dialects.values.step_reader import StepReader

_NO_ARGUMENTS = ("null", "[]")  # written by models and templates for no arguments
_COMMON_KEYS = ("type", "id")  # other keys of a call
_OTHER_ARGUMENTS_KEYS = ("input", "args", "params", "kwargs", "tool_input")  # of other notations, inside the family's own tags


class _Role(Enum):
    """The meaning of the value that is being read."""

    KEY = auto()
    NAME = auto()
    ARGUMENTS = auto()
    ID = auto()
    OTHER = auto()


class CallObject(ArgumentReader, StepReader):
    """Reads a call from after its brace, by the rules of `JsonValue`. `out` holds the arguments.

    While it is `strict`, a key that calls do not have leaves it stuck, because it is some other object.
    """

    def __init__(
        self, carrier: JsonKey | KeyIsName, codec: JsonArguments, ids: Ids | None, repairs: list[str], *, strict: bool
    ) -> None:
        super().__init__()
        self.name: str | None = None
        self.id = ""
        self.strict = strict
        self._is_whole = False  # the arguments have been read to their end
        self._name_keys = carrier.keys if isinstance(carrier, JsonKey) else ()
        self._arguments_keys = None if isinstance(carrier, KeyIsName) else codec.keys  # None: the key is the name
        self._id_key = ids.key if isinstance(ids, IdKey) else None
        self._repairs = repairs
        self._step: Callable[[CallObject, str, int], int] = CallObject._member
        self._role = _Role.KEY
        self._value: JsonValue | EncodedObject = JsonValue(repairs)
        self._key = ""
        self._has_arguments = False
        self._broken = False

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes, but stop also as soon as the name is known."""
        self.stuck, self.paused = self._broken, False
        return self._read_steps(text, pos)

    @property
    def begun(self) -> bool:
        """Whether the first of the arguments has begun."""
        return self._has_arguments or (self._role is _Role.ARGUMENTS and self._value.begun)

    @property
    def whole(self) -> bool:
        """Whether the arguments have been read to their end."""
        return self._is_whole

    @property
    def may_end(self) -> bool:
        """Whether the call would be complete if the output ended here."""
        return self._is_whole

    @property
    def clean(self) -> bool:
        """Whether only brackets are missing."""
        if self._step is CallObject._read_value:
            return self._role is _Role.ARGUMENTS and self._value.clean
        return self._step is CallObject._member and not self._broken

    def close(self) -> None:
        """End the object here, so that its arguments are valid JSON."""
        if self._step is CallObject._read_value and self._role is _Role.ARGUMENTS:
            self._value.close()
            self._take_arguments()
        elif not self._is_whole:
            self.out.append("{}")
        self._is_whole = self.done = True

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
        if self.name is None and self._key in self._name_keys and char in "\"'":
            self._begin(_Role.NAME)
        elif not self._is_whole and self._holds_arguments() and char in "{\"'":
            self._begin(_Role.ARGUMENTS)
            if char != "{":
                self._value = EncodedObject(self._repairs)
        else:
            self._begin(_Role.ID if self._key == self._id_key else _Role.OTHER)
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
            self._is_whole = self._has_arguments = True
            return
        written = "".join(self._value.out)
        if self._role is _Role.KEY:
            self._end_key(json.loads(written))
        elif self._role is _Role.NAME:
            self._take_name(json.loads(written))
        elif self._role is _Role.ID:
            self.id = written.strip('"')
        elif not self._is_whole and self._holds_arguments():
            self._has_arguments = written in _NO_ARGUMENTS
            self.stuck = self._broken = not self._has_arguments  # arguments that are not an object

    def _end_key(self, key: str) -> None:
        self._key = key
        self._step = CallObject._colon
        if self._arguments_keys is None:
            self._take_name(self.name or key)
        elif self.strict and key not in (*self._name_keys, *self._arguments_keys, *_COMMON_KEYS, self._id_key):
            self.stuck = self._broken = True

    def _take_name(self, name: str) -> None:
        self.paused = self.name is None
        self.name = name

    def _holds_arguments(self) -> bool:
        """Whether the current member holds the arguments."""
        if self._arguments_keys is None:
            return self._key == self.name
        return self._key in self._arguments_keys or (not self.strict and self._key in _OTHER_ARGUMENTS_KEYS)

    def _take_arguments(self) -> None:
        self.out += self._value.out
        self._value.out.clear()

    def _skip(self, text: str, pos: int, more: str = "") -> int:
        if text[pos].isspace() or text[pos] in more:
            return pos + 1
        self.stuck = True
        return pos
