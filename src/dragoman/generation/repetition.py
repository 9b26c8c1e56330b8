"""Detects a model that repeats itself, as small ones do in text, reasoning and call arguments."""

import re

_NUMBER = re.compile(r"[0-9]+")
_EVERY = 256
_KEPT = 8192
_PROBE = 24
_LEAST = 4


class Repetition:
    """Watches a model's output. `length` is the number of characters at the end that are one repeated string, 0 if none.

    A string counts if it occurs at least four times in a row. The last 8,192 characters are checked, every 256 characters.
    """

    __slots__ = ("_chunks", "_fresh", "_tail", "_without_numbers", "length")

    def __init__(self) -> None:
        self.length = 0
        self._tail = ""
        self._chunks: list[str] = []
        self._fresh = 0
        self._without_numbers: int | None = None

    def feed(self, text: str) -> bool:
        """Add the next text, and return whether the output was checked now."""
        self._chunks.append(text)
        self._fresh += len(text)
        if self._fresh < _EVERY:
            return False
        self._tail = (self._tail + "".join(self._chunks))[-_KEPT:]
        self._chunks.clear()
        self._fresh = 0
        self.length = _repeated(self._tail)
        self._without_numbers = None
        return True

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
