"""The loop of readers that read a text in steps."""

from collections.abc import Callable
from typing import Any


class StepReader:
    """Reads a text in steps: `_step` reads one element and returns its end, or its start if it is undecided or `stuck`.

    A step that only chooses the next one returns its start, too. A `paused` reader goes on when it is called again.
    """

    done = False
    stuck = False
    paused = False
    _step: Callable[[Any, str, int], int]

    def _read_steps(self, text: str, pos: int) -> int:
        """Read from `pos` on; returns the end of what was consumed."""
        while pos < len(text) and not (self.done or self.stuck or self.paused):
            before, step = pos, self._step
            pos = step(self, text, pos)
            if pos == before and self._step is step:
                break
        return pos
