"""How fast the body of a request must arrive."""

from typing import Final

BODY_SECONDS: Final = 30.0
"""The span in which at least `BODY_BYTES` of a body must arrive."""
BODY_BYTES: Final = 16 * 1024
GRACE_SECONDS: Final = 60.0
"""After so long, the whole body must have arrived at `BODY_RATE` bytes a second on average."""
BODY_RATE: Final = 8 * 1024


class Pace:
    """Counts the bytes of one body, in spans of `BODY_SECONDS`."""

    def __init__(self) -> None:
        self._span = 0
        self._total = 0
        self._seconds = 0.0

    def add(self, size: int) -> None:
        """So many bytes have come."""
        self._span += size
        self._total += size

    def end_span(self, *, paused: bool) -> bool:
        """Whether the body arrives fast enough. A span in which the server itself reads nothing (`paused`) does not count."""
        span, self._span = self._span, 0
        if paused:
            return True
        self._seconds += BODY_SECONDS
        on_average = self._seconds < GRACE_SECONDS or self._total >= BODY_RATE * self._seconds
        return span >= BODY_BYTES and on_average
