"""Watches whether a remote engine still responds, and still serves the model that was found at the start.

    ready ◀──▶ unreachable          it does not respond
      ▲  ╲
      ╰────▶ changed                it serves another model: the prompts made here are not for that one

A remote engine may be restarted without our knowledge, with another model. Its tokenizer and its template are then different,
and its output would be garbage: it gets no requests until it serves the first model again. A probe is one small request with
a timeout, sent at an interval, and at once where a request failed or arrives while the engine is unreachable. After several
missed probes in a row, without any output meanwhile, its running requests are aborted.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

from dragoman.engines.liveness import Liveness, ProbeTimes
from dragoman.errors import EngineError, EngineFailed, EngineUnavailable

_LOG = logging.getLogger(__name__)
USUAL_LOOKS: Final = ProbeTimes(interval=10.0, timeout=10.0, misses=3)


class Status(StrEnum):
    """The status of the engine at the last probe."""

    READY = "ready"
    UNREACHABLE = "unreachable"
    CHANGED = "changed"


class HealthWatch:
    """Watches an engine. `ask` returns the engine's identity as text, and raises `EngineError` where it does not respond.

    `give_up` aborts the requests that run on an engine that is lost.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], Awaitable[str]],
        *,
        give_up: Callable[[], None] = lambda: None,
        looks: ProbeTimes = USUAL_LOOKS,
    ) -> None:
        self.status = Status.READY
        self._name = name
        self._ask = ask
        self._give_up = give_up
        self._liveness = Liveness(self._identify, looks)
        self._first = self._now = self._why = ""
        self._doubt = asyncio.Event()
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Record the engine's present identity as the expected one, and start probing. Raises what `ask` raises."""
        self._first = self._now = await self._ask()
        self._task = asyncio.create_task(self._run(), name="engine watch")

    def sign(self) -> None:
        """Record that output arrived."""
        self._liveness.sign()

    def doubt(self) -> None:
        """Probe at once, because a request failed."""
        self._doubt.set()

    async def check(self) -> None:
        """Check that the engine is the one that was found at the start; probe again if it was unreachable.

        Raises `EngineFailed` where it is another, `EngineUnavailable` where it does not respond, within the timeout of a probe.
        """
        if self.status is Status.UNREACHABLE:
            async with self._looking:
                if self.status is Status.UNREACHABLE:  # else another task probed meanwhile
                    await self._look()
        if self.status is Status.CHANGED:
            raise EngineFailed(f"{self._name} now serves {self._now}, and this server was started for {self._first}")
        if self.status is Status.UNREACHABLE:
            raise EngineUnavailable(self._why)

    @asynccontextmanager
    async def work(self) -> AsyncGenerator[None]:
        """Check, and probe at once where the request in the context fails. Raises as `check`."""
        await self.check()
        try:
            yield
        except EngineError:
            self.doubt()
            raise

    async def close(self) -> None:
        """Stop probing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._liveness.times.interval):  # `wait_for` can swallow a cancellation until 3.12
                    await self._doubt.wait()
            self._doubt.clear()
            async with self._looking:
                await self._look()

    async def _identify(self) -> None:
        self._now = await self._ask()

    async def _look(self) -> None:
        before = self.status
        try:
            await self._liveness.check()
        except (EngineError, TimeoutError) as error:
            self._why = error.message if isinstance(error, EngineError) else f"{self._name} does not respond"
            self.status = Status.UNREACHABLE
            if before is not self.status:
                _LOG.warning("%s", self._why)
            if self._liveness.lost:
                self._give_up()
            return
        self.status = Status.READY if self._now == self._first else Status.CHANGED
        if self.status is before:
            return
        if self.status is Status.READY:
            _LOG.info("%s is back", self._name)
        else:
            _LOG.error("%s now serves %s, and this server was started for %s", self._name, self._now, self._first)
