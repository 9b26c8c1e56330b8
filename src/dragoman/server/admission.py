"""Who may work now, who waits, and who is sent away.

The engine has so many slots; behind them stands a queue of bounded length, first come first served. Where there are enough
slots, long turns never have all of them, so that a title or a probe does not wait for somebody's whole answer. Past the queue
there is nothing but a clear "later" (ERR-8). When the process leaves, nobody new comes in, and after a while those inside are
told to stop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

from dragoman.engines import FEWEST_WITH_A_SPARE
from dragoman.errors import Overloaded, ShuttingDown


class Admission:
    """Counts turns. `slots` may run at once, `queue` more may wait."""

    def __init__(self, slots: int, queue: int) -> None:
        self._capacity = slots + queue
        self._slots = asyncio.Semaphore(slots)
        self._long = asyncio.Semaphore(slots - (slots >= FEWEST_WITH_A_SPARE))
        self._inside = 0
        self._working: set[asyncio.Task[object]] = set()
        self._draining = False
        self._expired = False

    @property
    def inside(self) -> int:
        """Turns that run or wait."""
        return self._inside

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Be inside for as long as the context lasts. Raises `Overloaded` or `ShuttingDown`, at once."""
        if self._draining:
            raise ShuttingDown("the server is shutting down")
        if self._inside >= self._capacity:
            raise Overloaded(f"the server is busy: {self._inside} requests are running or waiting")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @asynccontextmanager
    async def slot(self, *, short: bool = False) -> AsyncIterator[None]:
        """Wait for a slot and hold it; a `short` turn may have any of them.

        Raises `ShuttingDown`, while waiting or in the body, when `expire` was called.
        """
        if self._expired:
            raise ShuttingDown("the server is shutting down")
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            async with nullcontext() if short else self._long, self._slots:
                yield
        except asyncio.CancelledError:
            if not self._expired:
                raise
            task.uncancel()
            raise ShuttingDown("the server shut down before the answer was complete") from None
        finally:
            self._working.discard(task)

    def drain(self) -> None:
        """Let nobody in any more."""
        self._draining = True

    def expire(self) -> None:
        """End whoever is still inside."""
        self._draining = self._expired = True
        for task in self._working:
            task.cancel()
