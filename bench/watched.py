"""Dragoman on asyncio's own event loop, with the CPU time of each of its callbacks: `python -m bench.watched serve …`.

On SIGUSR1 it writes the longest callback since the last time. Wall-clock time would say more about the other processes of the
machine; and uvloop, on which Dragoman usually runs, does not let its callbacks be measured. Tasks are those that asyncio has in
Python, as only these say what they run.
"""

import asyncio
import gc
import inspect
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

_MOST_SECONDS = 10.0


class Callback(msgspec.Struct, frozen=True):
    """One callback of an event loop: its CPU time in seconds, and where it ended: the awaits of a task with their lines."""

    seconds: float = 0.0
    name: str = ""


def longest_callback(pid: int) -> Callback:
    """The callback of a server that this module started that took the most CPU time since the last call of this function."""
    report = _report(pid)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + _MOST_SECONDS
    while not report.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    found = msgspec.json.decode(report.read_bytes(), type=Callback)
    report.unlink()
    return found


def _report(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"dragoman-callback-{pid}"


def _name(callback: Any) -> str:
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.tasks.Task):
        return repr(callback)
    steps: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        if type(awaited).__name__ == "async_generator_asend":
            awaited = next(each for each in gc.get_referents(awaited) if inspect.isasyncgen(each))
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        steps.append(f"{getattr(awaited, '__qualname__', repr(awaited))}:{frame.f_lineno if frame else '?'}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return " > ".join(steps)


def _watch() -> None:
    """Measure every callback of asyncio's event loops from now on."""
    run = asyncio.Handle._run
    longest = Callback()

    def measured(handle: Any) -> None:
        nonlocal longest
        began = time.thread_time()
        run(handle)
        took = time.thread_time() - began
        if took > longest.seconds:
            longest = Callback(took, _name(handle._callback))

    def write(*_: object) -> None:
        nonlocal longest
        report = _report(os.getpid())
        report.with_suffix(".new").write_bytes(msgspec.json.encode(longest))
        report.with_suffix(".new").rename(report)
        longest = Callback()

    asyncio.tasks.Task = asyncio.tasks._PyTask  # type: ignore[misc, attr-defined]
    asyncio.Handle._run = measured  # type: ignore[method-assign, assignment]
    signal.signal(signal.SIGUSR1, write)


if __name__ == "__main__":
    sys.modules["uvloop"] = None  # type: ignore[assignment]
    from dragoman.cli import main

    _watch()
    main()
