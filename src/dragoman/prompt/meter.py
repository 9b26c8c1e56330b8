"""Limits for chat templates: steps, time, and the size of the texts and values they build.

A template is untrusted code. Everything in it that can repeat or grow is counted by a meter (`sandbox`), so that compiling and
rendering stay within limits whatever the template does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import Any, Final, NoReturn, overload

SECONDS: Final = 3.0
"""CPU seconds of one rendering."""
STEPS: Final = 20_000_000
"""Loop iterations, calls, and pieces of `_PIECE` characters in one rendering."""
TEXT: Final = 64_000_000
"""Characters of one text, and of all texts that are joined at once."""
ITEMS: Final = 1_000_000
"""Values in one list, tuple or dictionary that a template builds, nested ones included; a text counts by its pieces."""
BITS: Final = 4096
"""Bits of an integer."""
WIDTH: Final = 10_000
"""The width of a padded text, and the precision of a number."""
_PIECE: Final = 16
_ROUND: Final = 16
"""Steps between two checks of the clock."""


class Exceeded(Exception):
    """A template exceeds one of the limits."""


class Meter:
    """Counts the steps and the time of one rendering."""

    __slots__ = ("_ends", "_left", "_round")

    def __init__(self) -> None:
        self._left = STEPS
        self._round = _ROUND
        self._ends = thread_time() + SECONDS

    def step(self, steps: int = 1) -> None:
        """Count steps. Raises `Exceeded` if there are too many, or the time is over."""
        self._round -= steps
        if self._round <= 0:
            self._left -= _ROUND - self._round
            self._round = _ROUND
            if self._left < 0:
                _exceed(f"it takes more than {STEPS:,} steps")
            if thread_time() > self._ends:
                _exceed(f"it takes more than {SECONDS:g} seconds")

    def text(self, length: int) -> None:
        """Count a text of this length before it is built. Raises `Exceeded`."""
        if length > TEXT:
            _exceed(f"it makes a text of more than {TEXT:,} characters")
        self.step(1 + length // _PIECE)


_METER: ContextVar[Meter] = ContextVar("meter")


@contextmanager
def metered() -> Iterator[None]:
    """Use a new meter inside the context."""
    token = _METER.set(Meter())
    try:
        yield
    finally:
        _METER.reset(token)


def step(steps: int = 1) -> None:
    """Count steps of the current rendering. Raises `Exceeded`."""
    _METER.get().step(steps)


def text(length: int) -> None:
    """Count a text of the current rendering before it is built. Raises `Exceeded`."""
    _METER.get().text(length)


def width(wanted: object, most: int = WIDTH) -> None:
    """Check a width or a precision. Raises `Exceeded`."""
    if isinstance(wanted, int) and abs(wanted) > most:
        _exceed(f"it asks for a width of more than {most:,}")


def number(value: int) -> int:
    """Check the size of an integer. Raises `Exceeded`."""
    if value.bit_length() > BITS:
        _exceed(f"it makes a number of more than {BITS:,} bits")
    return value


class Counted:
    """An iterable of a loop; every iteration counts as a step."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[Any]:
        meter = _METER.get()
        for item in self._inner:
            meter.step()
            yield item

    def __len__(self) -> int:
        return len(self._inner)


class BuiltList(list[Any]):
    """A list built by a template, with the number of values in it."""

    __slots__ = ("parts_inside",)

    parts_inside: int


class BuiltDict(dict[Any, Any]):
    """A dictionary built by a template, with the number of values in it."""

    __slots__ = ("parts_inside",)

    parts_inside: int


@overload
def built(value: list[Any]) -> list[Any]: ...
@overload
def built(value: Any) -> Any: ...
def built(value: Any) -> Any:
    """Count the values in a list, tuple or dictionary that a template builds. Raises `Exceeded`.

    The number is kept with the value, since values that are put into each other repeatedly grow exponentially.
    """
    items = _items(value)
    step(1 + items // _PIECE)
    if isinstance(value, list):
        made = BuiltList(value)
        made.parts_inside = items
        return made
    if isinstance(value, dict):
        made_too = BuiltDict(value)
        made_too.parts_inside = items
        return made_too
    return value


def texts(value: Any) -> list[Any]:
    """The texts to join, counted while they are produced. Raises `Exceeded`."""
    length, parts = 0, []
    for part in Counted(value):
        length += len(part) if isinstance(part, str) else _PIECE
        if length > TEXT:
            text(length)
        parts.append(part)
    return parts


def filled(form: str, mark: str, values: Iterable[Any]) -> None:
    """Count the longest text that a format can make of these values. Raises `Exceeded`."""
    longest = max((len(value) if isinstance(value, str) else _items(value) * _PIECE for value in values), default=0)
    text(len(form) + form.count(mark) * longest)


def joined_lists(left: list[Any], right: list[Any]) -> list[Any]:
    """The concatenation of two lists. Raises `Exceeded`."""
    items = _items(left) + _items(right)
    if items > ITEMS:
        _too_many()
    step(1 + len(left) // _PIECE + len(right) // _PIECE)
    made = BuiltList(left)
    made.extend(right)
    made.parts_inside = items
    return made


def _items(value: Any) -> int:
    """The number of values in a value, itself included. Raises `Exceeded`."""
    count = 0
    pending = [value]
    while pending:
        inner = pending.pop()
        count += 1
        if isinstance(inner, str):
            count += len(inner) // _PIECE
        elif isinstance(inner, BuiltList | BuiltDict):
            count += inner.parts_inside
        elif isinstance(inner, Mapping):
            pending.extend(inner.values())
        elif isinstance(inner, Sequence) and not isinstance(inner, bytes | range):
            pending.extend(inner)
        if count + len(pending) > ITEMS:
            _too_many()
    return count


def _too_many() -> NoReturn:
    _exceed(f"it builds a value of more than {ITEMS:,} parts")


def _exceed(what: str) -> NoReturn:
    raise Exceeded(f"the chat template is stopped: {what}")
