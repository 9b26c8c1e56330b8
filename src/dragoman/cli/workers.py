"""Several gateways on one port: this process, so many times over.

A gateway keeps no conversation, so which of them takes a connection is for the kernel to say. On Linux each has a socket of its
own at that port, and the kernel deals connections out among these. At one that all of them shared, whoever woke first took all
that had come and kept it: of 64 streams that began at once, one worker of four had three quarters of the work.

They are told of signals by the process that made them, and end with it, however it ends: each watches a pipe that only that
process holds open.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def own_listener(reserved: socket.socket) -> socket.socket:
    """A worker's socket at the port that `reserved`, which nobody listens on, is bound to; elsewhere than on Linux that one."""
    if sys.platform != "linux":  # others deal nothing out: the last to come would have it all
        return reserved
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # not before it was bound: another's port is refused
    own = socket.socket(reserved.family, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(reserved.getsockname())
    return own


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
