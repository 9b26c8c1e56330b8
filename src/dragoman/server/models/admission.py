"""Admission control: running slots, a bounded queue, and an `Overloaded` error beyond it.

Requests wait for the engine's slots in a first-come, first-served queue of bounded length. If there are enough slots, long
requests never hold all of them, so that a title request or a probe does not wait for a whole long answer. A request beyond the
queue gets an error that it can retry (ERR-8). When the process shuts down, no new request is admitted, and after a grace period
the admitted ones are cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Protocol

from dragoman.engines import FEWEST_WITH_RESERVED_SLOT
from dragoman.errors import Overloaded, ShuttingDown


class Slots(Protocol):
    """Where a request gets a slot of the engine."""

    def slot(self, *, short: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for a slot and hold it. Raises `ShuttingDown`."""


class Admission:
    """Limits how many requests run and wait: `slots` may run at once, `queue` more may wait."""

    def __init__(self, slots: int, queue: int) -> None:
        self._capacity = slots + queue
        self._slots = asyncio.Semaphore(slots)
        self._long = asyncio.Semaphore(slots - (slots >= FEWEST_WITH_RESERVED_SLOT))
        self._active = self._running = 0
        self._working: set[asyncio.Task[object]] = set()
        self._gaps = 0
        self._freed = asyncio.Event()
        self._draining = False
        self._expired = False

    @property
    def active(self) -> int:
        """The number of requests that run or wait."""
        return self._active

    @property
    def running(self) -> int:
        """The number of requests that hold a slot."""
        return self._running

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Admit a request for the duration of the context. Raises `Overloaded` or `ShuttingDown` immediately."""
        if self._draining:
            raise ShuttingDown("the server is shutting down")
        if self._active >= self._capacity:
            raise Overloaded(f"the server is busy: {self._active} requests are running or waiting")
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1

    @asynccontextmanager
    async def slot(self, *, short: bool = False) -> AsyncIterator[None]:
        """Wait for a slot and hold it; a `short` request may use any of them.

        Raises `ShuttingDown`, while waiting or in the body, after `expire` is called.
        """
        if self._expired:
            raise ShuttingDown("the server is shutting down")
        task = asyncio.current_task()
        assert task is not None
        self._working.add(task)
        try:
            async with nullcontext() if short else self._long, self._slots:
                self._running += 1
                try:
                    yield
                finally:
                    self._running -= 1
        except asyncio.CancelledError:
            if not self._expired:
                raise
            task.uncancel()
            raise ShuttingDown("the server shut down before the answer was complete") from None
        finally:
            self._working.discard(task)
            self._tell()

    @asynccontextmanager
    async def gap(self, limit: int) -> AsyncIterator[None]:
        """Wait for a slot that no other request wants, and hold it; at most `limit` are held in this way.

        Raises `ShuttingDown`, also while waiting.
        """
        while self._gaps >= limit or self._slots.locked() or self._long.locked() or self._draining:
            if self._draining:
                raise ShuttingDown("the server is shutting down")
            await self._freed.wait()
        self._gaps += 1
        try:
            async with self.slot():
                yield
        finally:
            self._gaps -= 1
            self._tell()

    def _tell(self) -> None:
        """Tell those that wait for a gap that something has changed."""
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    def drain(self) -> None:
        """Stop admitting requests."""
        self._draining = True
        self._tell()

    def expire(self) -> None:
        """Stop admitting requests, and cancel those that run or wait for a slot."""
        self._draining = self._expired = True
        for task in self._working:
            task.cancel()


class Gaps:
    """The slots of a model that no interactive request wants, at most `limit` at once: for the requests of batches.

    By default one slot fewer than there are: an interactive request finds it free. One that is reserved for short requests is
    never used. With more lanes than slots, each request would take the slot of another lane, which has another beginning.
    """

    def __init__(self, admission: Admission, slots: int, limit: int | None = None) -> None:
        self._admission = admission
        usable = slots - (slots >= FEWEST_WITH_RESERVED_SLOT)
        self.limit = max(1, min(usable, slots - 1 if limit is None else limit))

    def slot(self, *, short: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for a slot and hold it. Raises `ShuttingDown`."""
        return self._admission.gap(self.limit)
