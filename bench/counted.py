"""Dragoman with one addition: on SIGUSR1 it writes how many asyncio tasks it has: `python -m bench.counted serve …`."""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path


def _report(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"dragoman-tasks-{pid}"


def ask_for_tasks(pid: int) -> int:
    """The number of tasks of a server that this module started."""
    report = _report(pid)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while not report.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    tasks = int(report.read_text())
    report.unlink()
    return tasks


def _write(*_: object) -> None:
    report = _report(os.getpid())
    report.with_suffix(".new").write_text(str(len(asyncio.all_tasks())))
    report.with_suffix(".new").rename(report)


if __name__ == "__main__":
    from dragoman.cli import main

    signal.signal(signal.SIGUSR1, _write)
    main()
