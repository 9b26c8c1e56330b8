"""What a chat template may spend: steps, time, and the size of the texts and values it builds.

A template is foreign code. Everything in it that can repeat or grow passes through a meter (`sandbox`), so that compiling and
rendering end within bounds whatever the template does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time
from typing import Any, Final, NoReturn, overload

SECONDS: Final = 3.0
"""Processor time of one rendering."""
STEPS: Final = 20_000_000
"""Rounds of loops, calls, and pieces of `_PIECE` characters in one rendering."""
TEXT: Final = 64_000_000
"""Characters of one text, and of all texts that are put together in one place."""
ITEMS: Final = 1_000_000
"""Values inside one list, tuple or dictionary that a template builds, with those inside them; a text counts by its pieces."""
BITS: Final = 4096
"""The size of a whole number."""
WIDTH: Final = 10_000
"""The width to which a text may be padded, and the precision of a number."""
_PIECE: Final = 16
_ROUND: Final = 16
"""Steps between two looks at the clock."""


class Exceeded(Exception):
    """A template passes one of the limits."""


class Meter:
    """Counts down during one rendering."""

    __slots__ = ("_ends", "_left", "_round")

    def __init__(self) -> None:
        self._left = STEPS
        self._round = _ROUND
        self._ends = thread_time() + SECONDS

    def step(self, steps: int = 1) -> None:
        """Count steps. Raises `Exceeded` where there are too many, or the time is over."""
        self._round -= steps
        if self._round <= 0:
            self._left -= _ROUND - self._round
            self._round = _ROUND
            if self._left < 0:
                _exceed(f"it takes more than {STEPS:,} steps")
            if thread_time() > self._ends:
                _exceed(f"it takes more than {SECONDS:g} seconds")

    def text(self, length: int) -> None:
        """Count a text of this length, before it is made. Raises `Exceeded`."""
        if length > TEXT:
            _exceed(f"it makes a text of more than {TEXT:,} characters")
        self.step(1 + length // _PIECE)


_METER: ContextVar[Meter] = ContextVar("meter")


@contextmanager
def metered() -> Iterator[None]:
    """A new meter for what is done inside."""
    token = _METER.set(Meter())
    try:
        yield
    finally:
        _METER.reset(token)


def step(steps: int = 1) -> None:
    """Count steps of the rendering at hand. Raises `Exceeded`."""
    _METER.get().step(steps)


def text(length: int) -> None:
    """Count a text of the rendering at hand, before it is made. Raises `Exceeded`."""
    _METER.get().text(length)


def width(wanted: object, most: int = WIDTH) -> None:
    """Check a width or a precision. Raises `Exceeded`."""
    if isinstance(wanted, int) and abs(wanted) > most:
        _exceed(f"it asks for a width of more than {most:,}")


def number(value: int) -> int:
    """Check a whole number. Raises `Exceeded`."""
    if value.bit_length() > BITS:
        _exceed(f"it makes a number of more than {BITS:,} bits")
    return value


class Counted:
    """What a loop runs over; every round is a step."""

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
    """A list that a template built, with the number of values in it."""

    __slots__ = ("parts_inside",)

    parts_inside: int


class BuiltDict(dict[Any, Any]):
    """A dictionary that a template built, with the number of values in it."""

    __slots__ = ("parts_inside",)

    parts_inside: int


@overload
def built(value: list[Any]) -> list[Any]: ...
@overload
def built(value: Any) -> Any: ...
def built(value: Any) -> Any:
    """A list, tuple or dictionary that a template builds: values put into themselves again and again grow without end.

    Raises `Exceeded`.
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
    """What is to be joined, counted as it is made. Raises `Exceeded`."""
    length, parts = 0, []
    for part in Counted(value):
        length += len(part) if isinstance(part, str) else _PIECE
        if length > TEXT:
            text(length)
        parts.append(part)
    return parts


def filled(form: str, mark: str, values: Iterable[Any]) -> None:
    """Count the text that a format makes of these values at most. Raises `Exceeded`."""
    longest = max((len(value) if isinstance(value, str) else _items(value) * _PIECE for value in values), default=0)
    text(len(form) + form.count(mark) * longest)


def joined_lists(left: list[Any], right: list[Any]) -> list[Any]:
    """Both lists in one. Raises `Exceeded`."""
    items = _items(left) + _items(right)
    if items > ITEMS:
        _too_many()
    step(1 + len(left) // _PIECE + len(right) // _PIECE)
    made = BuiltList(left)
    made.extend(right)
    made.parts_inside = items
    return made


def _items(value: Any) -> int:
    """The number of values inside, itself included. Raises `Exceeded`."""
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
