"""A wait of a task that ends in the callback that ends it."""

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context


class DirectWait:
    """What one task waits for, any number of times: `await` it, until a callback of the event loop calls `end`.

    The task goes on within `end`. With an `asyncio.Future` it would go on in the next iteration of the loop, and that costs as
    much CPU time as parsing a token. `end` may not be called from a task, since only one task runs at a time.

    To asyncio, it is a future-like object: a task recognizes it by `_asyncio_future_blocking`, and checks its `_loop`.
    """

    __slots__ = ("_asyncio_future_blocking", "_cancelled", "_loop", "_waiter")

    def __init__(self) -> None:
        self._asyncio_future_blocking = False
        self._loop = asyncio.get_running_loop()
        self._waiter: tuple[Callable[[DirectWait], object], Context] | None = None  # what lets the task go on
        self._cancelled = False

    def __await__(self) -> Generator["DirectWait", None, None]:
        """Wait until `end` is called."""
        self._asyncio_future_blocking = True
        yield self

    def end(self) -> None:
        """Let the task that waits go on, if there is one; returns when it waits for something else."""
        if self._waiter is not None:
            (resume, context), self._waiter = self._waiter, None
            context.run(resume, self)

    # What the task calls

    def add_done_callback(self, resume: "Callable[[DirectWait], object]", *, context: Context) -> None:
        """Take what lets the task go on."""
        self._waiter = resume, context

    def cancel(self, msg: object = None) -> bool:
        """Let the task go on with a `CancelledError` in the next iteration of the loop; returns whether it waits."""
        if self._waiter is None:
            return False
        (resume, context), self._waiter = self._waiter, None
        self._cancelled = True
        self._loop.call_soon(resume, self, context=context)
        return True

    def result(self) -> None:
        """Return nothing. Raises `CancelledError` after `cancel`."""
        if self._cancelled:
            self._cancelled = False
            raise asyncio.CancelledError
