"""A client that leaves takes its work with it (TRN-18)."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client left before it was answered: there is nobody to tell. `stop` seconds later its work had ended."""

    def __init__(self, stop: float = 0.0) -> None:
        super().__init__()
        self.stop = stop


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and cancel it where the client leaves first; then raise `ClientGone`, once the work has ended."""
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
