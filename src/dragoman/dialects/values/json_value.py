r"""Converts JSON as models write it into valid JSON, piece by piece.

`JsonValue` reads one value and copies it to `out` byte for byte while it is well-formed; nothing is parsed twice and no value
is kept. The errors that models are known to make are repaired, each repair with its name:

    control-character   a raw newline or tab inside a string            written as its escape
    escape              `\'`, `\d`, `\u12`, half a surrogate pair   the quote, the backslash doubled, U+FFFD
    quotes              'single quotes'                                 double ones
    literal             True, False, None                               true, false, null
                        `.5`, `5.`, `+1`, `1_000`, `0x1f`               0.5, 5, 1, 1000, 31
                        `007`, which may be a number or a code          "007"
                        NaN, Infinity, 1e999                            null
    trailing-comma      `[1, 2, ]`                                      left out
    missing-comma       `{"a": 1 "b": 2}`                               put in
    bracket             `{"a": [1, 2}`                                  the missing closer put in

These keep the meaning. Anything else leaves the reader `stuck` before the character it cannot read, and its owner decides;
`close` then ends the text so that it is valid JSON nevertheless, and `clean` says whether nothing was lost by that.

The result does not depend on the chunks because of one rule: a reader consumes only text that it has decided on. The caller
keeps the few other characters (an escape or a number at the very end of the text) and passes them again with more text after
them.
"""

import json
import re
from collections.abc import Callable

from dragoman.dialects.values.numbers import python_scalar

MAX_DEPTH = 128
"""Levels of nesting that are read; the JSON parsers that read our output are recursive."""

MAX_WORD = 512
"""Characters of the longest number or literal, and so of the text that is read twice."""

_SPACE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"[-+.\w]+")
_LEADING_ZEROS = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?")

_RUN = {'"': re.compile(r'[^"\\\x00-\x1f]+'), "'": re.compile(r"[^'\"\\\x00-\x1f]+")}
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_UNDECIDED = re.compile(r"\\(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)?\Z")


def string_piece(text: str, pos: int, quote: str) -> tuple[int, str, str]:
    """The next piece of a string's inside as JSON text: its end, the piece, and the name of the repair or "".

    `text[pos]` is not the closing quote. The end equals `pos` if more text is needed.
    """
    if run := _RUN[quote].match(text, pos):
        return run.end(), run.group(), ""
    if text[pos] != "\\":
        return pos + 1, json.dumps(text[pos])[1:-1], "" if text[pos] == '"' else "control-character"
    if _UNDECIDED.match(text, pos):
        return pos, "", ""
    if good := _PAIR.match(text, pos) or _ESCAPE.match(text, pos):
        return good.end(), good.group(), ""
    if half := _SURROGATE.match(text, pos):
        return half.end(), "\\ufffd", "escape"
    if text[pos + 1] == "'":
        return pos + 2, "'", "" if quote == "'" else "escape"
    return pos + 1, "\\\\", "escape"


class JsonValue:
    """Reads one value. `out` holds the JSON text written so far; the owner empties it at any time."""

    __slots__ = ("_closers", "_comma", "_depth", "_gap", "_key", "_quote", "_step", "done", "out", "repairs", "stuck")

    def __init__(self, repairs: list[str], depth: int = MAX_DEPTH) -> None:
        self.out: list[str] = []
        self.repairs = repairs
        self._depth = depth  # number of containers that may be open at once
        self.done = False
        self.stuck = False
        self._step: Callable[[JsonValue, str, int], int] = JsonValue._value
        self._closers: list[str] = []  # the closing brackets of the open containers
        self._gap = ""  # space after a value, until it is known whether more follows
        self._comma = ""  # a comma and the space after it, kept for the same reason
        self._quote = '"'
        self._key = False  # the string being read is a key

    def read(self, text: str, pos: int) -> int:
        """Read from `pos` on; returns the end of what was consumed, before the text's end if `done` or undecided."""
        self.stuck = False
        while pos < len(text) and not self.done:
            before = pos
            pos = self._step(self, text, pos)
            if pos == before:
                break
        return pos

    @property
    def clean(self) -> bool:
        """Whether `close` would add only brackets."""
        return self._step in (JsonValue._next, JsonValue._after_comma, JsonValue._first_key, JsonValue._first_element)

    @property
    def begun(self) -> bool:
        """Whether more has been read than an opening bracket."""
        at_start = self._step in (JsonValue._first_key, JsonValue._first_element)
        return self.done or len(self._closers) > 1 or (bool(self._closers) and not at_start)

    def close(self) -> None:
        """End the value here, so that the written text is valid JSON, `{}` if nothing was read. Idempotent."""
        if self.done:
            return
        if self._step is JsonValue._string:
            self.out.append('": null' if self._key else '"')
        elif self._step is JsonValue._colon:
            self.out.append(": null")
        elif self._step is JsonValue._value:
            self.out.append("null" if self._closers else "{}")
        self.out.extend(reversed(self._closers))
        self._closers.clear()
        self.done = True

    # The steps. Each reads one element at `pos` and returns its end, or `pos` itself if it is undecided or stuck.

    def _value(self, text: str, pos: int) -> int:
        char = text[pos]
        if char in _RUN:
            return self._open_string(char, pos, key=False)
        if char in "{[" and len(self._closers) < self._depth:
            self.out.append(char)
            self._closers.append("}" if char == "{" else "]")
            self._step = JsonValue._first_key if char == "{" else JsonValue._first_element
            return pos + 1
        if space := _SPACE.match(text, pos):
            return self._copy(space)
        return self._word(text, pos)

    def _word(self, text: str, pos: int) -> int:
        word = _WORD.match(text, pos)
        if word is None or word.end() - pos > MAX_WORD:
            return self._stick(pos)
        if word.end() == len(text):
            return pos
        if (read := python_scalar(word.group())) is not None:
            written = read[0]
        elif _LEADING_ZEROS.fullmatch(word.group()):
            written = f'"{word.group()}"'
        else:
            return self._stick(pos)
        if written != word.group():
            self.repairs.append("literal")
        self.out.append(written)
        self._end_value()
        return word.end()

    def _open_string(self, quote: str, pos: int, *, key: bool) -> int:
        if quote == "'":
            self.repairs.append("quotes")
        self.out.append('"')
        self._quote, self._key = quote, key
        self._step = JsonValue._string
        return pos + 1

    def _string(self, text: str, pos: int) -> int:
        if text[pos] != self._quote:
            end, piece, repair = string_piece(text, pos, self._quote)
            if repair:
                self.repairs.append(repair)
            self.out.append(piece)
            return end
        self.out.append('"')
        if self._key:
            self._step = JsonValue._colon
        else:
            self._end_value()
        return pos + 1

    def _end_value(self) -> None:
        self._step = JsonValue._next
        self.done = not self._closers

    def _first_key(self, text: str, pos: int) -> int:
        return self._bracket(text[pos], pos) if text[pos] in "}]" else self._next_key(text, pos)

    def _next_key(self, text: str, pos: int) -> int:
        if text[pos] in _RUN:
            return self._open_string(text[pos], pos, key=True)
        space = _SPACE.match(text, pos)
        return self._copy(space) if space else self._stick(pos)

    def _first_element(self, text: str, pos: int) -> int:
        if text[pos] in "}]":
            return self._bracket(text[pos], pos)
        if space := _SPACE.match(text, pos):
            return self._copy(space)
        return self._value(text, pos)

    def _colon(self, text: str, pos: int) -> int:
        if text[pos] == ":":
            self.out.append(":")
            self._step = JsonValue._value
            return pos + 1
        space = _SPACE.match(text, pos)
        return self._copy(space) if space else self._stick(pos)

    def _next(self, text: str, pos: int) -> int:
        char = text[pos]
        if char == ",":
            self._comma = ","
            self._step = JsonValue._after_comma
            return pos + 1
        if char in "}]":
            return self._bracket(char, pos)
        if space := _SPACE.match(text, pos):
            self._gap += space.group()
            return space.end()
        if self._starts_member(text, pos) and char in '"{[':
            self.repairs.append("missing-comma")
            return self._member(text, pos)
        return self._stick(pos)

    def _after_comma(self, text: str, pos: int) -> int:
        if text[pos] in "}]":
            self.repairs.append("trailing-comma")
            return self._bracket(text[pos], pos)
        if space := _SPACE.match(text, pos):
            self._comma += space.group()
            return space.end()
        return self._member(text, pos) if self._starts_member(text, pos) else self._stick(pos)

    def _starts_member(self, text: str, pos: int) -> bool:
        if self._closers[-1] == "}":
            return text[pos] in _RUN
        return text[pos] in "\"'{[" or _WORD.match(text, pos) is not None

    def _member(self, text: str, pos: int) -> int:
        """Begin the member after a comma, which is written only now, or which was missing."""
        self.out.append(self._gap + (self._comma or ","))
        self._gap = self._comma = ""
        self._step = JsonValue._next_key if self._closers[-1] == "}" else JsonValue._value
        return self._step(self, text, pos)

    def _bracket(self, char: str, pos: int) -> int:
        if char not in self._closers:
            return self._stick(pos)
        while (closer := self._closers.pop()) != char:
            self.repairs.append("bracket")
            self.out.append(closer)
        self.out.append(self._gap + char)
        self._gap = self._comma = ""
        self._end_value()
        return pos + 1

    def _copy(self, match: re.Match[str]) -> int:
        self.out.append(match.group())
        return match.end()

    def _stick(self, pos: int) -> int:
        self.stuck = True
        return pos
