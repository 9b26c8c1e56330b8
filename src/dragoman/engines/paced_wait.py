"""A wait that ends at most 50 times a second while what it waits for comes faster."""

import asyncio
from typing import Final

from dragoman.engines.direct_wait import DirectWait

INTERVAL: Final = 0.02
"""Seconds within which output is passed on together. A display shows little more than 50 changes a second, and the first of
several tokens costs as much CPU time as all that follow it: the engine has used the processor's cache since the last one."""
FLOWING: Final = 8
"""So many times in a row, less than `INTERVAL` apart, something must have come before anything is held back: so the first
token of an answer, which may follow a report of progress, never is."""


class PacedWait(DirectWait):
    """A `DirectWait` with a second way to end it, `end_soon`, for what can be held back for a moment."""

    __slots__ = ("_called", "_due", "_frequent", "_timer")

    def __init__(self) -> None:
        super().__init__()
        self._called = 0.0  # the last call of `end_soon`
        self._frequent = 0  # its calls in a row that came less than `INTERVAL` after another
        self._due = 0.0  # from when on it may end again
        self._timer: asyncio.TimerHandle | None = None

    def end_soon(self) -> None:
        """Let the task go on: at once if it did not in the last `INTERVAL` seconds or calls are rare, else within as many."""
        now = self._loop.time()
        self._frequent = self._frequent + 1 if now - self._called < INTERVAL else 0
        self._called = now
        if self._frequent < FLOWING or now >= self._due:
            self._due = now + INTERVAL
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.end()
        elif self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._end_late)

    def _end_late(self) -> None:
        self._timer = None
        self._due = self._loop.time() + INTERVAL
        self.end()
