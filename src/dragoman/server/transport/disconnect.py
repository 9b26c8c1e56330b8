"""Cancels the work of a request when its client disconnects (TRN-18)."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.types import Receive

T = TypeVar("T")
SHUTDOWN: Final = "shutdown"
"""The key of an `asyncio.Event` in the state of the application, which a connection sets when the server shuts down."""


class ClientGone(Exception):
    """The client disconnected before the response was complete. `stop` is the seconds until its work had ended."""

    def __init__(self, stop: float = 0.0) -> None:
        super().__init__()
        self.stop = stop


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of the work; if the client disconnects first, cancel the work and then raise `ClientGone`."""
    worker = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            return worker.result()
        left = time.monotonic()
        await _ended(worker)
        raise ClientGone(time.monotonic() - left)
    finally:
        await _ended(worker)
        await _ended(watcher)


async def _ended(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
