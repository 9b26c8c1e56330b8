"""One stay of a model in memory, from the first request for it until it is unloaded."""

import asyncio
from enum import StrEnum

from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.served_model import ServedModel


class State(StrEnum):
    """The state of a model, for people and programs."""

    UNLOADED = "unloaded"
    LOADING = "loading"  # or waiting for its turn
    LOADED = "loaded"
    UNLOADING = "unloading"  # when the requests that use it are complete
    FAILED = "failed"  # the last time it was to be loaded


class Stay:
    """A stay of an entry's model in memory. Requests that wait for it and requests that use it count alike.

    `ready` is the model, or why it was not loaded. With `wanted` it is loaded even if no request waits for it.
    `begun`: it takes memory. `task` loads it, or waits for its turn.
    """

    def __init__(self, entry: ModelEntry, *, wanted: bool = False) -> None:
        self.entry = entry
        self.wanted = wanted
        self.begun = False
        self.ready: asyncio.Future[ServedModel] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.unloading: asyncio.Task[None] | None = None
        self.users = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.last_used = asyncio.get_running_loop().time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def model(self) -> ServedModel | None:
        """The model, if it is loaded."""
        loaded = self.ready.done() and self.ready.exception() is None
        return self.ready.result() if loaded else None

    def enter(self) -> None:
        """Begin to use it."""
        self.users += 1
        self.idle.clear()
        self.stop_timer()

    def leave(self) -> None:
        """End using it."""
        self.users -= 1
        self.last_used = asyncio.get_running_loop().time()
        if not self.users:
            self.idle.set()

    def fail(self, error: Exception) -> None:
        """Tell all who wait for it why it is not loaded."""
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # possibly no request waits

    def start_timer(self, timer: asyncio.TimerHandle) -> None:
        """Take the timer that ends the stay, until it is used again."""
        self._timer = timer

    def stop_timer(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it is unloaded if it is not used; None without such a time."""
        return None if self._timer is None else max(0.0, self._timer.when() - asyncio.get_running_loop().time())
