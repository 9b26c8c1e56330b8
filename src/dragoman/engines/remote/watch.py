"""Is the engine still there, and still the one that was found at the start?

    ready ◀──▶ unreachable          it does not answer
      ▲  ╲
      ╰────▶ changed                it answers as another: the prompts made here are not its prompts

An engine at an address may be restarted behind our back, and come back with another model. Its tokenizer and its template are
then others, and what it would write is garbage: no work is given to it until it is again the one it was. One look is one
small question, asked from time to time, and at once where work failed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from dragoman.errors import EngineError, EngineFailed

_LOG = logging.getLogger(__name__)
_PAUSE: Final = 10.0
"""Seconds between two looks."""


class Status(StrEnum):
    """How the engine was found at the last look."""

    READY = "ready"
    UNREACHABLE = "unreachable"
    CHANGED = "changed"


class Watch:
    """Watches an engine. `ask` says in words who it is, and raises `EngineError` where it does not answer."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[str]], *, pause: float = _PAUSE) -> None:
        self.status = Status.READY
        self._name = name
        self._ask = ask
        self._pause = pause
        self._first = self._now = ""
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Take the engine as it is now for what it should be. Raises what `ask` raises."""
        self._first = self._now = await self._ask()
        self._task = asyncio.create_task(self._run(), name="engine watch")

    def doubt(self) -> None:
        """Look at once: something failed."""
        self._doubt.set()

    def check(self) -> None:
        """Raise `EngineFailed` where the engine is known to be another than at the start."""
        if self.status is Status.CHANGED:
            raise EngineFailed(f"{self._name} now serves {self._now}, and this server was started for {self._first}")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):  # and not `wait_for`, which until 3.12 can swallow a cancellation
                    await self._doubt.wait()
            self._doubt.clear()
            await self._look()

    async def _look(self) -> None:
        before = self.status
        try:
            self._now = await self._ask()
        except EngineError as error:
            self.status = Status.UNREACHABLE
            if before is not self.status:
                _LOG.warning("%s", error.message)
            return
        self.status = Status.READY if self._now == self._first else Status.CHANGED
        if self.status is before:
            return
        if self.status is Status.READY:
            _LOG.info("%s is back", self._name)
        else:
            _LOG.error("%s now serves %s, and this server was started for %s", self._name, self._now, self._first)
