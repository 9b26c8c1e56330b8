"""The minimum rate at which the body of a request must arrive."""

from typing import Final

BODY_SECONDS: Final = 30.0
"""The interval in which at least `BODY_BYTES` of a body must arrive."""
BODY_BYTES: Final = 16 * 1024
GRACE_SECONDS: Final = 60.0
"""After this time, the body must have arrived at `BODY_RATE` bytes per second on average."""
BODY_RATE: Final = 8 * 1024


class Pace:
    """Counts the bytes of one body, in intervals of `BODY_SECONDS`."""

    def __init__(self) -> None:
        self._interval = 0
        self._total = 0
        self._seconds = 0.0

    def add(self, size: int) -> None:
        """Count `size` bytes that arrived."""
        self._interval += size
        self._total += size

    def end_interval(self, *, paused: bool) -> bool:
        """Whether the body arrives fast enough. An interval in which the server did not read (`paused`) does not count."""
        interval, self._interval = self._interval, 0
        if paused:
            return True
        self._seconds += BODY_SECONDS
        on_average = self._seconds < GRACE_SECONDS or self._total >= BODY_RATE * self._seconds
        return interval >= BODY_BYTES and on_average
