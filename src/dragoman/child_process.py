"""Starts child processes, so that a start can be cancelled at any moment, and ends them."""

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Any, Final

_AGAIN: Final = 0.1
"""Seconds until a start that does not end is cancelled again."""


async def start_process(*command: str, **options: Any) -> Process:
    """Start a process, as `asyncio.create_subprocess_exec` does. Cancelling ends the process. Raises `OSError`.

    The end of `asyncio.run` cancels all tasks. A process is then killed before its pipes are connected, and asyncio's own
    event loop waits without end for these to close. A second cancellation ends that wait.
    """
    loop = asyncio.get_running_loop()
    starting = loop.create_task(asyncio.create_subprocess_exec(*command, **options))

    def cancel() -> None:
        if not starting.done():
            starting.cancel()
            loop.call_later(_AGAIN, cancel)

    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_end)
        cancel()
        raise


async def end_process(process: Process) -> None:
    """Kill a process and wait until it has ended, however much of its output is unread.

    `Process.wait` also waits for the end of the pipes. It is never found in one that is not read any more because too much of
    what came from it is unread, or that another process has inherited. So they are closed before.
    """
    with suppress(ProcessLookupError):
        process.kill()
    for number in range(3):
        pipe = process._transport.get_pipe_transport(number)  # type: ignore[attr-defined]
        if pipe is not None:
            pipe.close()
    await process.wait()


def _end(starting: asyncio.Task[Process]) -> None:
    """End the process that has started although nothing waits for it any more."""
    if not starting.cancelled() and starting.exception() is None:
        with suppress(ProcessLookupError):
            starting.result().kill()
