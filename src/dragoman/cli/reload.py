"""Reads files again on SIGHUP, while the server runs."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping

from dragoman.cli.usage_error import UsageError

_LOG = logging.getLogger(__name__)

Reload = Callable[[], Awaitable[None] | None]
"""Reads a file again. Raises `ValueError` or `UsageError` if it cannot be used; then what was read before stays in use."""


def reload_on_hangup(sources: Mapping[str, Reload]) -> None:
    """Read the sources again on every SIGHUP, and log what happened by their names; without any the signal ends the process.

    Called on the event loop, in a worker with the signal blocked, so that none is missed while it starts. On Windows there is
    no such signal.
    """
    if not sources or not hasattr(signal, "SIGHUP"):
        return
    turn = asyncio.Lock()
    tasks: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = asyncio.create_task(_reload(sources, turn))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


async def _reload(sources: Mapping[str, Reload], turn: asyncio.Lock) -> None:
    async with turn:
        for name, reload in sources.items():
            try:
                done = reload()
                if done is not None:
                    await done
            except (ValueError, UsageError) as error:
                _LOG.error("SIGHUP: %s unchanged: %s", name, error)
            except Exception:
                _LOG.exception("SIGHUP: %s unchanged", name)
            else:
                _LOG.info("SIGHUP: %s read again", name)
