"""Decides when to stop a model early: its thinking budget is spent, or it repeats itself, as small models do."""

import re

from dragoman.generation.written import Written

_NUMBER = re.compile(r"[0-9]+")
_EVERY = 256
_KEPT = 8192
_PROBE = 24
_LEAST = 4


class Repetition:
    """The repetition at the end of a model's output. `length` is its number of characters, 0 if there is none.

    A string is repeated if it occurs at least four times in a row, in the last 8,192 characters.
    """

    __slots__ = ("_tail", "_without_numbers", "length")

    def __init__(self) -> None:
        self.length = 0
        self._tail = ""
        self._without_numbers: int | None = None

    def feed(self, text: str) -> None:
        """Add the next text."""
        self._tail = (self._tail + text)[-_KEPT:]
        self.length = _repeated(self._tail)
        self._without_numbers = None

    @property
    def length_ignoring_numbers(self) -> int:
        """Length of the repetition at the end if all numbers count as equal, or of one long number at the end."""
        if self._without_numbers is None:
            number = len(self._tail) - len(self._tail.rstrip("0123456789"))
            self._without_numbers = max(number, _repeated(_NUMBER.sub("0", self._tail)))
        return self._without_numbers


def _repeated(tail: str) -> int:
    """Return the length of the repetition at the end; its period starts where the last characters occurred before."""
    if len(tail) <= _PROBE:
        return 0
    earlier = tail.rfind(tail[-_PROBE:], 0, -1)
    if earlier < 0:
        return 0
    period = tail[earlier + _PROBE :]
    position = len(tail)
    while position >= len(period) and tail.startswith(period, position - len(period)):
        position -= len(period)
    found = len(tail) - position
    return found if found >= _LEAST * len(period) else 0


_MOST_REPEATED = 4000
"""Repeated characters after which a model is stopped, since it would not stop on its own."""
_MOST_REPEATED_NEAR_LIMIT = 64
"""The same for a structured answer that has used seven eighths of its limit, where counting upwards is repetition, too."""


class LoopGuard:
    """Watches the output of one engine request.

    `budget` is the limit of reasoning tokens, None for no limit. `structured`: the answer must match a schema or be a call, so
    that reaching its `limit` (tokens) would break it.
    """

    __slots__ = ("_budget", "_limit", "_read", "_repetition", "_structured")

    def __init__(self, budget: int | None, limit: int, *, structured: bool) -> None:
        self._budget = budget
        self._limit = limit
        self._structured = structured
        self._repetition = Repetition()
        self._read = 0  # characters of the output that were checked

    def should_stop(self, written: Written, *, output: int, thought: int, thinking: bool) -> bool:
        """Return whether to stop the model, after what it has `written`; that is checked for repetition every 256 characters.

        `output` and `thought` are the tokens of the answer so far and those of its reasoning; `thinking`: the model is still
        reasoning.
        """
        checked = written.length - self._read >= _EVERY
        if checked:
            self._repetition.feed(written.end(written.length - self._read))
            self._read = written.length
        if self._budget is not None and thinking and thought >= self._budget:
            return True
        if self._structured and 8 * output >= 7 * self._limit:
            return self._repetition.length_ignoring_numbers >= _MOST_REPEATED_NEAR_LIMIT
        return checked and self._repetition.length >= _MOST_REPEATED
