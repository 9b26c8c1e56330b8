r"""Literals of Python, and of dialects with quotes of their own, turned into JSON as they come.

One reader for all of them: dicts, lists, tuples and the keyword arguments of a call, with keys quoted or bare, strings in
Python's quotes or between two tokens (`<|"|>`), the words of Python and of JSON. A Python string's escapes are read; a
backslash that starts none is itself (`C:\dir`). Between tokens nothing is an escape, and a token ends the string only where
something may follow a string: a payload may quote the dialect.

As in `JsonValue`, what is undecided at the end of the text is left to be presented again.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from dragoman.dialects.codecs.json_value import MAX_DEPTH
from dragoman.dialects.codecs.numbers import python_scalar
from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Calls

CONTAINERS = ("{", "[", "(")
MAX_GAP = 256
"""No more space than this is looked past to see what follows a string."""
MAX_WORD = 4096
"""No word without quotes is longer."""

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^,:=()\[\]{}\"'\n]+")
_VALUE = re.compile(r"[^,()\[\]{}\"'\n]+")
_GAP = re.compile(rf"\s{{0,{MAX_GAP}}}")
_BRACKETS = re.compile(rf"\}}{{1,{MAX_GAP}}}\s{{0,{MAX_GAP}}}")
_AFTER_STRING = (",", ":", "=", "]", ")", "}")

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
    """The next piece of a Python string's inside as JSON text, and its end: `pos` itself where more text is needed to tell."""
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
    return code.end(), json.dumps(chr(point), ensure_ascii=False)[1:-1] if is_character else "\\ufffd"


class _Frame(NamedTuple):
    """An open container: how it closes here and in JSON, and what stands behind its keys (""; it has none)."""

    close: str
    json: str
    colon: str = ""


_FRAMES = {"{": _Frame("}", "}", ":"), "[": _Frame("]", "]"), "(": _Frame(")", "]")}
_KEYWORDS = _Frame(")", "}", "=")


class Literal:
    """One value. `out` holds the JSON text written so far; the owner empties it.

    `quote` is the token around strings, "" for Python's; the closers of `calls` may follow such a string too, and end one that
    lacks its token. `is_string` tells of a key of the outermost object whether its value is a string even where it looks like a
    number; `positions` are the keys of arguments that come without.
    """

    __slots__ = (
        "_closers", "_comma", "_follows", "_frames", "_is_string", "_key", "_openers", "_positions", "_quote", "_step",
        "_stop", "_token", "done", "final", "out", "repairs", "stuck",
    )  # fmt: skip

    def __init__(
        self,
        repairs: list[str],
        quote: str = "",
        calls: Calls | None = None,
        is_string: Callable[[str], bool] = lambda _: False,
        positions: Sequence[str] = (),
    ) -> None:
        self.out: list[str] = []
        self.repairs = repairs
        self.done = False
        self.stuck = False
        self._token = quote
        self.final = False
        """Does no more text come?"""
        self._follows = _markers((*_AFTER_STRING, *(calls.closes if calls else ())))
        self._closers, self._openers = _markers(calls.closes if calls else ()), calls.opens if calls else ()
        self._stop = _stop(quote)
        self._is_string = is_string
        self._positions = list(reversed(positions))
        self._frames: list[_Frame] = []
        self._step: Callable[[Literal, str, int], int] = Literal._value
        self._quote = ""
        self._key: list[str] | None = None  # the JSON text of the key that is being read
        self._comma = ""

    def open_keywords(self) -> None:
        """Begin behind the parenthesis of a call."""
        self._open(_KEYWORDS, "{")

    def open_object(self) -> None:
        """Begin behind the brace of an object."""
        self._open(_FRAMES["{"], "{")

    def read(self, text: str, pos: int) -> int:
        """Read on from `pos`; returns the end of what was consumed, which is short of the text's where `done` or undecided."""
        self.stuck = False
        while pos < len(text) and not self.done and not self.stuck:
            before, step = pos, self._step
            pos = self._step(self, text, pos)
            if pos == before and self._step is step:
                break
        return pos

    @property
    def clean(self) -> bool:
        """Would `close` add brackets and nothing else?"""
        return self._step in (Literal._next, Literal._element)

    def close(self) -> None:
        """End the value here, so that what was written is valid JSON."""
        if self.done:
            return
        if self._step is Literal._string and self._key is None:
            self.out.append('"')
        elif self._step is Literal._value and self._frames:
            self.out.append("null")
        self.out.extend(frame.json for frame in reversed(self._frames))
        self._frames.clear()
        self.done = True

    # The steps. Each reads one thing at `pos` and returns its end, or `pos` itself where it is undecided or stuck.

    def _value(self, text: str, pos: int) -> int:
        if space := _SPACE.match(text, pos):
            return space.end()
        char = text[pos]
        if char in _FRAMES and len(self._frames) < MAX_DEPTH:
            self._open(_FRAMES[char], "{" if char == "{" else "[")
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

    def _write_word(self, word: str) -> None:
        read = python_scalar(word)
        wants_string = (
            len(self._frames) == 1 and self._key is not None and self._is_string(json.loads(f'"{"".join(self._key)}"'))
        )
        if read is None or (wants_string and read[1] != "null"):
            self.out.append(json.dumps(word, ensure_ascii=False))
            self.repairs.append("quotes")
        else:
            self.out.append(read[0])
        self._end_value()

    def _open_string(self, text: str, pos: int, *, key: bool) -> int | None:
        """The end of an opening quote, `pos` where that is undecided, None where there is none."""
        rest = text[pos : pos + max(3, len(self._token))]
        if self._token and rest.startswith(self._token):
            self._quote = self._token
        elif self._token and self._token.startswith(rest):
            return pos
        elif rest[0] in "\"'":
            if len(rest) < 3 and rest == rest[0] * len(rest):
                return pos
            self._quote = rest[0] * 3 if rest[:3] == rest[0] * 3 else rest[0]
        else:
            return None
        self._key = [] if key else None
        if not key:
            self.out.append('"')
        self._step = Literal._string
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
        end, piece = python_piece(text, pos)
        self._write(piece)
        return end

    def _token_string(self, text: str, pos: int) -> int:
        stop = self._stop.search(text, pos)
        end = stop.start() if stop else len(text)
        if end == pos and text[pos] == "}":
            is_end = self._lost_token(text, pos)
            if is_end is None:
                return pos
            if is_end:
                self.repairs.append("quotes")
                return self._end_string(pos)
            end += 1
        if end != pos:
            self._write(json.dumps(text[pos:end], ensure_ascii=False)[1:-1])
            return end
        rest = text[pos : pos + len(self._token)]
        if rest != self._token and self._token.startswith(rest):
            return pos
        if rest == self._token:
            end = pos + len(rest)
            gap = _GAP.match(text, end)
            start = gap.end() if gap else end
            found = self._follows.match(text, start, final=False)
            if found is not None and found.marker:
                return self._end_string(end)
            if found is not None or (start == len(text) and start - end < MAX_GAP):
                return pos
        self._write(json.dumps(text[pos], ensure_ascii=False)[1:-1])
        return pos + 1

    def _lost_token(self, text: str, pos: int) -> bool | None:
        """Do brackets, the block's closer and then another block or the end stand here? None: not known yet."""
        brackets = _BRACKETS.match(text, pos)
        assert brackets is not None
        end = brackets.end()
        closer = self._closers.match(text, end, final=self.final)
        if closer is None:
            return None if end == len(text) and end - pos <= MAX_GAP and not self.final else False
        if not closer.marker:
            return None
        gap = _GAP.match(text, end + len(closer.marker))
        end = gap.end() if gap else end
        rest = text[end : end + max(map(len, self._openers), default=0)]
        if rest.startswith(self._openers):
            return True
        may_follow = any(opener.startswith(rest) for opener in self._openers)
        if end == len(text):
            return self.final or None
        return None if may_follow and not self.final else False

    def _write(self, piece: str) -> None:
        (self.out if self._key is None else self._key).append(piece)

    def _end_string(self, end: int) -> int:
        if self._key is None:
            self.out.append('"')
            self._end_value()
        else:
            self._step = Literal._colon
        return end

    def _end_value(self) -> None:
        self._step = Literal._next
        self._key = None
        self.done = not self._frames

    def _open(self, frame: _Frame, written: str) -> None:
        self.out.append(written)
        self._frames.append(frame)
        self._key = None
        self._comma = ""
        self._step = Literal._element

    def _element(self, text: str, pos: int) -> int:
        """What stands behind an opening bracket or a comma: a member, or the closing bracket."""
        if space := _SPACE.match(text, pos):
            return space.end()
        if text[pos] in ")]}":
            return self._bracket(text[pos], pos)
        if not self._frames[-1].colon:
            self._write_comma()
            self._step = Literal._value
            return pos
        has_position = self._frames[-1] is _KEYWORDS and bool(self._positions)
        if has_position and text[pos] in "\"'[{(":
            return self._positional(pos)
        if (end := self._open_string(text, pos, key=True)) is not None:
            return end
        word = _WORD.match(text, pos)
        if word is None or word.end() - pos > MAX_WORD:
            return self._stick(pos)
        if word.end() == len(text):
            return pos
        if has_position and text[word.end()] in ",)":
            return self._positional(pos)
        self._key = [json.dumps(word.group().strip(), ensure_ascii=False)[1:-1]]
        self._step = Literal._colon
        return word.end()

    def _positional(self, pos: int) -> int:
        """An argument without a key: it goes by its place."""
        self.repairs.append("positional")
        self._key = [json.dumps(self._positions.pop(), ensure_ascii=False)[1:-1]]
        self._write_key()
        return pos

    def _colon(self, text: str, pos: int) -> int:
        if space := _SPACE.match(text, pos):
            return space.end()
        if text[pos] not in ":=":
            return self._stick(pos)
        self._write_key()
        return pos + 1

    def _write_key(self) -> None:
        self._write_comma()
        self.out.append(f'"{"".join(self._key or ())}": ')
        self._step = Literal._value

    def _write_comma(self) -> None:
        if self._comma:
            self.out.append(", ")
        self._comma = ""

    def _next(self, text: str, pos: int) -> int:
        if space := _SPACE.match(text, pos):
            return space.end()
        if text[pos] == ",":
            self._comma = ","
            self._step = Literal._element
            return pos + 1
        return self._bracket(text[pos], pos) if text[pos] in ")]}" else self._stick(pos)

    def _bracket(self, char: str, pos: int) -> int:
        if all(frame.close != char for frame in self._frames):
            return self._stick(pos)
        while (frame := self._frames.pop()).close != char:
            self.repairs.append("bracket")
            self.out.append(frame.json)
        self.out.append(frame.json)
        self._comma = ""
        self._end_value()
        return pos + 1

    def _stick(self, pos: int) -> int:
        self.stuck = True
        return pos


@lru_cache
def _markers(markers: tuple[str, ...]) -> Markers:
    return Markers(markers)


@lru_cache
def _stop(quote: str) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(quote[:1])}}}]")
