"""Runs several gateway processes on one port.

A gateway keeps no conversation, so that any of them can take a connection. On Linux each worker has its own socket at the port
(`SO_REUSEPORT`), and the kernel distributes connections among them. With one shared socket the first worker to wake up took
all waiting connections: of 64 streams that began at once, one worker of four had three quarters of the work.

The parent process forwards signals to the workers. They end with it, however it ends: each watches a pipe that only the parent
holds open.
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
    """A new socket at the port of `reserved`, which must not listen; on other systems than Linux, `reserved` itself."""
    if sys.platform != "linux":  # other systems do not distribute connections: the last socket would get all of them
        return reserved
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # set after bind, so that a port in use is refused
    own = socket.socket(reserved.family, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(reserved.getsockname())
    return own


def run_workers(count: int, work: Callable[[int], int], *, reload: bool = False) -> int:
    """Run `work(0)`, `work(1)`, … each in a process of its own; returns the worst of their exit codes.

    A signal is forwarded to all of them; if one ends on its own, the others are terminated. With `reload` a worker handles
    SIGHUP, which is then forwarded too, and ends none of them.
    """
    workers: set[int] = set()
    forwarded: set[int] = set()
    watched, held = os.pipe()

    def forward(number: int, _frame: FrameType | None = None) -> None:
        forwarded.add(number)
        for worker in workers:
            os.kill(worker, number)

    def forward_reload(number: int, _frame: FrameType | None = None) -> None:
        for worker in workers:
            os.kill(worker, number)

    for number in _SIGNALS:
        signal.signal(number, forward)
    if reload:
        signal.signal(signal.SIGHUP, forward_reload)
    for index in range(count):
        worker = os.fork()
        if worker == 0:
            os.close(held)
            _become_worker(watched, reload=reload)
            sys.exit(work(index))
        workers.add(worker)
    worst = 0
    while workers:
        worker, status = os.wait()
        workers.discard(worker)
        worst = max(worst, os.waitstatus_to_exitcode(status), key=abs)
        if not forwarded:  # a second signal would end requests at once
            forward(signal.SIGTERM)
    return worst


def _become_worker(parent: int, *, reload: bool) -> None:
    """Leave the terminal's session, since signals are forwarded, and terminate when the other end of the pipe closes."""
    os.setsid()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if reload:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until its own handler is installed

    def watch() -> None:
        os.read(parent, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
