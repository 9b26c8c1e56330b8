"""Computes what depends on one value only once, also for later requests: the value keeps it.

A conversation that is sent again with a turn more consists of the same values, as the API formats keep what they read
(`api/remembered.py`). So everything that is computed of them costs time in proportion to what is new.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

V = TypeVar("V")
T = TypeVar("T")

_PREFIX: Final = "_once "
"""The beginning of the names under which a value keeps results."""


class Keeping:
    """The base of frozen values that keep what is computed of them. It is not pickled with them."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith(_PREFIX)}


def once(function: Callable[[V], T]) -> Callable[[V], T]:
    """A function of a value that is computed once for each value with a `__dict__`, and every time for any other."""
    name = f"{_PREFIX}{function.__module__}.{function.__qualname__}"

    def kept(value: V) -> T:
        known = getattr(value, "__dict__", None)
        if known is None:
            return function(value)
        if name not in known:
            known[name] = function(value)
        result: T = known[name]
        return result

    return kept
