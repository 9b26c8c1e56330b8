"""Reads files again on SIGHUP, while the server runs."""

import asyncio
import logging
import signal
from collections.abc import Mapping
from typing import Protocol

_LOG = logging.getLogger(__name__)


class Reloadable(Protocol):
    """Something that was read from a file."""

    def load(self) -> None:
        """Read the file again. Raises `ValueError` if it cannot be used; then what was read before stays in use."""


def reload_on_hangup(sources: Mapping[str, Reloadable]) -> None:
    """Load the sources on every SIGHUP, and log what happened by their names; without sources the signal ends the process.

    Called on the event loop. On Windows there is no such signal.
    """
    if not sources or not hasattr(signal, "SIGHUP"):
        return
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, sources)


def _reload(sources: Mapping[str, Reloadable]) -> None:
    for name, source in sources.items():
        try:
            source.load()
        except ValueError as error:
            _LOG.error("SIGHUP: %s unchanged: %s", name, error)
        else:
            _LOG.info("SIGHUP: %s read again", name)
