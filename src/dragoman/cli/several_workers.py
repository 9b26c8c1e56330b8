"""Runs the server in several worker processes, with what they share."""

import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from dragoman.cli.access import Access
from dragoman.cli.model_list import ModelList
from dragoman.cli.run import Worker, run
from dragoman.cli.usage_error import UsageError
from dragoman.cli.workers import Workers
from dragoman.observability.metrics import forget_process
from dragoman.server import ModelRegistry
from dragoman.server.transport.killed_worker import ConnectionTable
from dragoman.server.transport.siblings import forget_worker

_LONGEST: Final = 90
"""Characters of the folder's path: with the name of a socket it has at most 103 on macOS, and 107 on Linux."""


def run_workers(
    count: int, registry: Callable[[], ModelRegistry], models: ModelList, listener: socket.socket, access: Access
) -> int:
    """Serve with so many workers until a signal arrives, each with a registry of its own; returns the exit code."""
    shared = _shared_folder()
    table = ConnectionTable(encrypted=access.certificate is not None)
    loads = [*access.files.values(), *([models.load] if models.has_file else [])]

    def work(channel: socket.socket, announces: bool) -> int:
        return run(registry(), models, listener, access, Worker(channel, table, announces, shared))

    def ended(pid: int) -> None:
        forget_process(shared, pid)
        forget_worker(shared, pid)

    def reload() -> None:
        """Read the files again, for the workers that start later; the others do it themselves, and log it."""
        for load in loads:
            with suppress(ValueError, UsageError):
                load()

    workers = Workers(listener, work, ended, table, reload if loads else None)
    code = workers.run(count)
    shutil.rmtree(shared, ignore_errors=True)  # only the parent process gets here
    return code


def _shared_folder() -> Path:
    """A new folder that only its user may enter, with a path that is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="dragoman-"))
    if len(str(folder)) > _LONGEST:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="dragoman-", dir="/tmp"))
    return folder
