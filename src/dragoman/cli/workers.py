"""Several gateways on one port: this process, so many times over, at one socket that all of them listen on.

A gateway keeps no conversation, so which of them takes a connection is for the kernel to say. They are told of signals by the
process that made them, and end with it, however it ends: each watches a pipe that only that process holds open.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_workers(count: int, work: Callable[[int], int]) -> int:
    """Run `work(0)`, `work(1)`, … each in a process of its own; the worst of their exit codes.

    A signal goes to all of them; where one ends by itself, the others are told to.
    """
    workers: set[int] = set()
    told: set[int] = set()
    ours, theirs = os.pipe()

    def tell(number: int, _frame: FrameType | None = None) -> None:
        told.add(number)
        for worker in workers:
            os.kill(worker, number)

    for number in _SIGNALS:
        signal.signal(number, tell)
    for index in range(count):
        worker = os.fork()
        if worker == 0:
            os.close(theirs)
            _begin(ours)
            sys.exit(work(index))
        workers.add(worker)
    worst = 0
    while workers:
        worker, status = os.wait()
        workers.discard(worker)
        worst = max(worst, os.waitstatus_to_exitcode(status), key=abs)
        if not told:  # a second signal means: at once
            tell(signal.SIGTERM)
    return worst


def _begin(maker: int) -> None:
    """Become a worker: of no terminal, since signals are passed on, and gone when the other end of the pipe is."""
    os.setsid()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)

    def watch() -> None:
        os.read(maker, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
