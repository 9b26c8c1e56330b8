"""Distinguishes a slow engine from one that has stopped responding.

An engine gets a cheap probe every few seconds. Any reply in time, and any output that arrives meanwhile, shows that it is
alive; only several missed probes in a row mean that it is lost. llama-server answers `/health` from a thread of its own
in milliseconds while all its slots read prompts (measured: 8 ms at worst), so a busy engine is not mistaken for a stopped one.
Its `/slots` is answered by the thread that computes, after the current step: a second, patient probe of it finds a computation
that hangs, for example in a GPU driver, while `/health` is still answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from dragoman.errors import EngineError


class ProbeTimes(Struct, frozen=True):
    """When an engine counts as lost: `misses` probes in a row without a reply within `timeout`, `interval` seconds apart."""

    interval: float = 5.0
    timeout: float = 10.0
    misses: int = 3


DEFAULT_PROBE_TIMES: Final = ProbeTimes()


class Liveness:
    """Counts the probes that an engine missed. `probe` sends one, and raises `EngineError` where it fails."""

    def __init__(self, probe: Callable[[], Awaitable[object]], times: ProbeTimes) -> None:
        self.times = times
        self.missed = 0
        self._probe = probe
        self._outputs = 0

    @property
    def lost(self) -> bool:
        """Whether it missed so many probes in a row that it is not expected to respond again."""
        return self.missed >= self.times.misses

    def record_output(self) -> None:
        """Record that output arrived."""
        self._outputs += 1

    async def check(self) -> None:
        """Probe once. Raises what the probe raises, and `TimeoutError`, unless output arrived meanwhile."""
        before = self._outputs
        try:
            async with asyncio.timeout(self.times.timeout):
                await self._probe()
        except (EngineError, TimeoutError):
            if self._outputs == before:
                self.missed += 1
                raise
        self.missed = 0

    async def until_lost(self) -> None:
        """Probe at every interval; return once the engine is lost."""
        while not self.lost:
            await asyncio.sleep(self.times.interval)
            try:
                await self.check()
            except (EngineError, TimeoutError):
                continue
