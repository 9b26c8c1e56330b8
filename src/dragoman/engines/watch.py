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
DEFAULT_WATCH_TIMES: Final = ProbeTimes(interval=10.0, timeout=10.0, misses=3)


class WatchStatus(StrEnum):
    """The status of the engine at the last probe."""

    READY = "ready"
    UNREACHABLE = "unreachable"
    CHANGED = "changed"


class HealthWatch:
    """Watches an engine. `identify` returns the engine's identity as text, and raises `EngineError` where it does not respond.

    `abort_all` aborts the requests that run on an engine that is lost.
    """

    def __init__(
        self,
        name: str,
        identify: Callable[[], Awaitable[str]],
        *,
        abort_all: Callable[[], None] = lambda: None,
        watch_times: ProbeTimes = DEFAULT_WATCH_TIMES,
    ) -> None:
        self.status = WatchStatus.READY
        self._name = name
        self._identify = identify
        self._abort_all = abort_all
        self.liveness = Liveness(self._update_identity, watch_times)
        self._first = self._now = self._reason = ""
        self._probe_now = asyncio.Event()
        self._probing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Record the engine's present identity as the expected one, and start probing. Raises what `identify` raises."""
        self._first = self._now = await self._identify()
        self._task = asyncio.create_task(self._run(), name="engine watch")

    def probe_soon(self) -> None:
        """Probe at once, because a request failed."""
        self._probe_now.set()

    async def check(self) -> None:
        """Check that the engine is the one that was found at the start; probe again if it was unreachable.

        Raises `EngineFailed` where it is another, `EngineUnavailable` where it does not respond, within the timeout of a probe.
        """
        if self.status is WatchStatus.UNREACHABLE:
            async with self._probing:
                if self.status is WatchStatus.UNREACHABLE:  # else another task probed meanwhile
                    await self._probe()
        if self.status is WatchStatus.CHANGED:
            raise EngineFailed(f"{self._name} now serves {self._now}, and this server was started for {self._first}")
        if self.status is WatchStatus.UNREACHABLE:
            raise EngineUnavailable(self._reason)

    @asynccontextmanager
    async def checked(self) -> AsyncGenerator[None]:
        """Check, and probe at once where the request in the context fails. Raises as `check`."""
        await self.check()
        try:
            yield
        except EngineError:
            self.probe_soon()
            raise

    async def close(self) -> None:
        """Stop probing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.liveness.times.interval):  # `wait_for` can swallow a cancellation until 3.12
                    await self._probe_now.wait()
            self._probe_now.clear()
            async with self._probing:
                await self._probe()

    async def _update_identity(self) -> None:
        self._now = await self._identify()

    async def _probe(self) -> None:
        before = self.status
        try:
            await self.liveness.check()
        except (EngineError, TimeoutError) as error:
            self._reason = error.message if isinstance(error, EngineError) else f"{self._name} does not respond"
            self.status = WatchStatus.UNREACHABLE
            if before is not self.status:
                _LOG.warning("%s", self._reason)
            if self.liveness.lost:
                self._abort_all()
            return
        self.status = WatchStatus.READY if self._now == self._first else WatchStatus.CHANGED
        if self.status is before:
            return
        if self.status is WatchStatus.READY:
            _LOG.info("%s is back", self._name)
        else:
            _LOG.error("%s now serves %s, and this server was started for %s", self._name, self._now, self._first)
