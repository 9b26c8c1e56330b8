r"""Converts literals of Python, and of dialects with quotes of their own, into JSON as they arrive.

One reader for all of them: dicts, lists, sets, tuples and the keyword arguments of a call, with quoted or bare keys, strings of
Python or between two tokens (`<|"|>`), the words of Python and of JSON. A set becomes a list, parentheses around one value are
dropped, adjacent strings are one, and `**{...}` among arguments adds the members of the dict. An expression (a field of an
f-string, a call, an operator) leaves the reader `stuck`.

As in `JsonValue`, undecided text at the end is left to the caller, who passes it again.
"""

import json
import re
from collections.abc import Callable, Sequence

from dragoman.dialects.markers import SPACE
from dragoman.dialects.values.json_text import dumps, escape
from dragoman.dialects.values.json_value import MAX_DEPTH
from dragoman.dialects.values.literal_containers import DICT, KEYWORDS, LIST, PARENTHESES, SET, TUPLE, UNPACKED, Container
from dragoman.dialects.values.numbers import python_scalar
from dragoman.dialects.values.python_string import PREFIX, PREFIX_BEGINS, python_piece, raw_piece
from dragoman.dialects.values.step_reader import StepReader
from dragoman.dialects.values.token_string import End, TokenString

CONTAINERS = ("{", "[", "(")
MAX_WORD = 4096
"""Characters of the longest word without quotes."""

_WORD = re.compile(r"[^,:=()\[\]{}\"'\n]+")
_VALUE = re.compile(r"[^,()\[\]{}\"'\n]+")
_UNPACK = re.compile(r"\*(?:\Z|\*\s*(?:\Z|(\{)))")


class LiteralValue(StepReader):
    """Reads one value. `out` holds the JSON text written so far; the owner empties it.

    `strings` reads strings between two tokens; without it, strings have Python's quotes. `is_string` decides for a key of the
    outermost object whether its value is a string even if it looks like a number; `positions` are the names of
    positional arguments.
    """

    def __init__(
        self,
        repairs: list[str],
        strings: TokenString | None = None,
        is_string: Callable[[str], bool] = lambda _: False,
        positions: Sequence[str] = (),
    ) -> None:
        self.out: list[str] = []
        self.repairs = repairs
        self._token = strings.token if strings else ""
        self._strings = strings
        self.final = False
        """Whether no more text comes."""
        self._is_string = is_string
        self._positions = list(reversed(positions))
        self._containers: list[Container] = []
        self._step: Callable[[LiteralValue, str, int], int] = LiteralValue._value
        self._quote = ""
        self._key: list[str] | None = None  # the JSON text of the key that is being read
        self._word = ""  # that key, if it is written without quotes
        self._comma = ""
        self._members = 0  # number of arguments written so far
        self._held: list[list[str]] = []  # the JSON inside parentheses that may be a tuple
        self._is_undecided = False  # an open brace may begin a dict or a set
        self._is_raw = self._is_formatted = False

    def open_keywords(self) -> None:
        """Begin after the opening parenthesis of a call."""
        self._open(KEYWORDS, "{")

    def open_object(self) -> None:
        """Begin after the opening brace of an object."""
        self._open(DICT, "{")

    def read(self, text: str, pos: int) -> int:
        """Read from `pos` on; returns the end of what was consumed, before the text's end if `done` or undecided."""
        self.stuck = False
        return self._read_steps(text, pos)

    @property
    def clean(self) -> bool:
        """Whether `close` would add only brackets."""
        return self._step in (LiteralValue._next, LiteralValue._element, LiteralValue._brace, LiteralValue._after_string)

    def close(self) -> None:
        """End the value here, so that the written text is valid JSON."""
        if self.done:
            return
        if self._is_undecided:
            self._write("{", is_key=False)
        if self._step is LiteralValue._after_string or (self._step is LiteralValue._string and self._key is None):
            self._write('"', is_key=False)
        elif self._step is LiteralValue._value and self._containers:
            self._write("null", is_key=False)
        for held in self._held:
            self.out += held
        self._held.clear()
        self.out.extend(container.json for container in reversed(self._containers))
        self._containers.clear()
        self.done = True

    # The steps. Each reads one element at `pos` and returns its end, or `pos` itself if it is undecided or stuck.

    def _value(self, text: str, pos: int) -> int:
        if space := SPACE.match(text, pos):
            return space.end()
        char = text[pos]
        if char in CONTAINERS and len(self._containers) < MAX_DEPTH:
            self._open_container(char)
            return pos + 1
        if (end := self._open_string(text, pos, key=False)) is not None:
            return end
        word = _VALUE.match(text, pos)
        if word is None or word.end() - pos > MAX_WORD:
            return self._stick(pos)
        if word.end() == len(text):
            return pos
        self._write_word(word.group().strip())
        return word.end()

    def _open_container(self, bracket: str) -> None:
        if bracket == "{":
            self._open(DICT, "")
            self._is_undecided, self._step = True, LiteralValue._brace
        elif bracket == "(":
            self._held.append([])
            self._open(PARENTHESES, "")
        else:
            self._open(LIST, "[")

    def _brace(self, text: str, pos: int) -> int:
        """Read after an opening brace: the first key of a dict, the first element of a set, or the closing brace."""
        if space := SPACE.match(text, pos):
            return space.end()
        if text[pos] in CONTAINERS:
            self._decide(is_set=True)
            self._step = LiteralValue._value
            return pos
        if text[pos] in ")]}":
            self._decide(is_set=False)
            return self._bracket(text[pos], pos)
        return self._begin_key(text, pos)

    def _decide(self, *, is_set: bool) -> None:
        self._is_undecided = False
        self._write("[" if is_set else "{", is_key=False)
        if is_set:
            self._containers[-1] = SET

    def _write_word(self, word: str) -> None:
        read = python_scalar(word)
        wants_string = (
            len(self._containers) == 1 and self._key is not None and self._is_string(json.loads(f'"{"".join(self._key)}"'))
        )
        if read is None or (wants_string and read[1] != "null"):
            self._write(dumps(word), is_key=False)
            self.repairs.append("quotes")
        else:
            self._write(read[0], is_key=False)
        self._end_value()

    def _open_string(self, text: str, pos: int, *, key: bool) -> int | None:
        """The end of an opening quote, `pos` if that is undecided, None if there is none."""
        prefix = None if self._token else PREFIX.match(text, pos)
        start, pos = pos, prefix.end() if prefix else pos
        rest = text[pos : pos + max(3, len(self._token))]
        if self._token and rest.startswith(self._token):
            self._quote = self._token
        elif self._token and self._token.startswith(rest):
            return pos
        elif rest[0] in "\"'":
            if len(rest) < 3 and rest == rest[0] * len(rest):
                return start
            self._quote = rest[0] * 3 if rest[:3] == rest[0] * 3 else rest[0]
        else:
            return None
        letters = prefix.group().lower() if prefix else ""
        self._is_raw, self._is_formatted = "r" in letters, "f" in letters
        if self._step is not LiteralValue._after_string:
            self._key, self._word = [] if key else None, ""
            self._write("" if key else '"')
        self._step = LiteralValue._string
        return pos + len(self._quote)

    def _string(self, text: str, pos: int) -> int:
        if self._quote == self._token:
            return self._token_string(text, pos)
        if text[pos] == self._quote[0]:
            rest = text[pos : pos + len(self._quote)]
            if rest == self._quote:
                return self._end_string(pos + len(rest))
            if rest == rest[0] * len(rest) and pos + len(rest) == len(text):
                return pos
        if self._is_formatted and text[pos] in "{}":
            if text[pos : pos + 2] == text[pos] * 2:
                self._write(text[pos])
                return pos + 2
            return pos if pos + 1 == len(text) else self._stick(pos)
        end, piece = raw_piece(text, pos) if self._is_raw else python_piece(text, pos)
        if self._is_formatted and (field := re.search("[{}]", piece)):
            end, piece = pos + field.start(), piece[: field.start()]
        self._write(piece)
        return end

    def _token_string(self, text: str, pos: int) -> int:
        assert self._strings is not None
        end, inside, ends = self._strings.read(text, pos, final=self.final)
        if inside:
            self._write(escape(inside))
        if ends is End.NO_TOKEN:
            self.repairs.append("quotes")
        return end if ends is End.NONE else self._end_string(end)

    def _write(self, piece: str, *, is_key: bool = True) -> None:
        """Write a piece of JSON; with `is_key`, to the key that is being read, if there is one."""
        if not piece:
            return
        if is_key and self._key is not None:
            self._key.append(piece)
        else:
            (self._held[-1] if self._held else self.out).append(piece)

    def _end_string(self, end: int) -> int:
        if self._key is not None:
            self._step = LiteralValue._colon
        elif self._token or not self._containers:
            self._write('"')
            self._end_value()
        else:
            self._step = LiteralValue._after_string
        return end

    def _after_string(self, text: str, pos: int) -> int:
        """Read after a Python string, which an adjacent string continues."""
        if space := SPACE.match(text, pos):
            return space.end()
        if PREFIX_BEGINS.match(text, pos):
            return pos
        if (end := self._open_string(text, pos, key=False)) is not None:
            return end
        self._write('"')
        self._end_value()
        return pos

    def _end_value(self) -> None:
        self._step = LiteralValue._next
        self._key = None
        self.done = not self._containers

    def _open(self, container: Container, written: str) -> None:
        self._write(written, is_key=False)
        self._containers.append(container)
        self._key = None
        self._comma = ""
        self._step = LiteralValue._element

    def _element(self, text: str, pos: int) -> int:
        """Read after an opening bracket or a comma: a member, or the closing bracket."""
        if space := SPACE.match(text, pos):
            return space.end()
        if text[pos] in ")]}":
            return self._bracket(text[pos], pos)
        if not self._containers[-1].colon:
            self._write_comma()
            self._step = LiteralValue._value
            return pos
        has_position = self._containers[-1] is KEYWORDS and bool(self._positions)
        if self._containers[-1] is KEYWORDS and text.startswith("*", pos):
            return self._unpack(text, pos)
        if has_position and (text[pos] in "\"'[{(" or PREFIX.match(text, pos)):
            return self._positional(pos)
        return self._begin_key(text, pos, has_position=has_position)

    def _unpack(self, text: str, pos: int) -> int:
        """Read `**` and the brace of a dict; nothing else can be unpacked here."""
        found = _UNPACK.match(text, pos)
        if found is None:
            return self._stick(pos)
        if not found[1]:
            return pos
        self._containers.append(UNPACKED)
        return found.end()

    def _begin_key(self, text: str, pos: int, *, has_position: bool = False) -> int:
        if (end := self._open_string(text, pos, key=True)) is not None:
            return end
        word = _WORD.match(text, pos)
        if word is None or word.end() - pos > MAX_WORD:
            return self._stick(pos)
        if word.end() == len(text):
            return pos
        if has_position and text[word.end()] in ",)":
            return self._positional(pos)
        self._word = word.group().strip()
        self._key = [escape(self._word)]
        self._step = LiteralValue._colon
        return word.end()

    def _positional(self, pos: int) -> int:
        """Begin a positional argument, whose name follows from its position."""
        self.repairs.append("positional")
        self._key = [escape(self._positions.pop())]
        self._write_key()
        return pos

    def _colon(self, text: str, pos: int) -> int:
        if space := SPACE.match(text, pos):
            return space.end()
        if self._is_undecided and text[pos] in ",}":
            return self._first_of_set(pos)
        if text[pos] not in ":=":
            return self._stick(pos)
        if self._is_undecided:
            self._decide(is_set=False)
        self._write_key()
        return pos + 1

    def _first_of_set(self, pos: int) -> int:
        """Write the word or string that was read as a key as the first element of a set."""
        self._decide(is_set=True)
        key, self._key = "".join(self._key or ()), None
        if self._word:
            self._write_word(self._word)
        else:
            self._write(f'"{key}"')
            self._end_value()
        return pos

    def _write_key(self) -> None:
        self._write_comma()
        self._members += len(self._containers) == 1 or self._containers[-1] is UNPACKED
        self._write(f'"{"".join(self._key or ())}": ', is_key=False)
        self._step = LiteralValue._value

    def _write_comma(self) -> None:
        if self._comma:
            self._write(", ", is_key=False)
        self._comma = ""

    def _next(self, text: str, pos: int) -> int:
        if space := SPACE.match(text, pos):
            return space.end()
        if text[pos] == ",":
            self._comma = "" if self._containers[-1] is KEYWORDS and not self._members else ","
            self._step = LiteralValue._element
            if self._containers[-1] is PARENTHESES:
                self._end_parentheses("[")
                self._containers[-1] = TUPLE
            return pos + 1
        if text[pos] in CONTAINERS:
            self._step = LiteralValue._computed
        return self._bracket(text[pos], pos) if text[pos] in ")]}" else self._stick(pos)

    def _computed(self, _: str, pos: int) -> int:
        """Get stuck on a value that is called or indexed: nothing more is read, and the state is not clean."""
        return self._stick(pos)

    def _bracket(self, char: str, pos: int) -> int:
        if all(container.close != char for container in self._containers):
            return self._stick(pos)
        while self._containers[-1].close != char:
            self.repairs.append("bracket")
            self._close_container()
        self._close_container()
        self._comma = ""
        self._end_value()
        return pos + 1

    def _close_container(self) -> None:
        container = self._containers.pop()
        if container is PARENTHESES:
            self._end_parentheses("" if self._held[-1] else "[]")
        self._write(container.json, is_key=False)

    def _end_parentheses(self, bracket: str) -> None:
        """Write the JSON inside parentheses, now that it is known whether they are a tuple."""
        self._write(bracket + "".join(self._held.pop()), is_key=False)

    def _stick(self, pos: int) -> int:
        self.stuck = True
        return pos
