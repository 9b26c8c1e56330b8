"""Runs several gateway processes on one port.

A gateway keeps no conversation, so that any of them can take a connection. The parent process accepts every connection and
deals them out in turn, as file descriptors over a socket pair per worker, so that each has as many as the others: the kernel
would distribute them by chance, or to the first worker to wake up.

A worker that ends although no signal asked for it is replaced. The connections on which it had read nothing yet go to the
others, and its clients get an error from the parent (`server/transport/killed_worker.py`). Only a worker that ends with an
error code, because it cannot start, ends all.

The parent process forwards signals to the workers. They end with it, however it ends: each watches a pipe that only the parent
holds open.
"""

import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from dragoman.cli.dealt import READY, take
from dragoman.server.transport.killed_worker import SWEEP, ConnectionTable, HeldConnections

_LOG = logging.getLogger(__name__)
_BACKLOG: Final = 2048
_MOST_AT_ONCE: Final = 64
"""Connections that are accepted before anything else is looked at."""
_RETRY: Final = 0.05
"""Seconds after which a connection is dealt again that no worker could take."""
_STEADY, _FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 0.5, 30.0
"""A worker that ends before it ran for so many seconds is replaced after a pause, which doubles."""

Work = Callable[[socket.socket, bool], int]
"""Serves the connections that arrive on a channel (`dealt`), and closes the listener, which the process has a copy of.

The flag: it is the first worker, which announces the server.
"""


@dataclass(eq=False)
class _Worker:
    """A worker process: both ends of its channel, whether it takes connections, and when it began."""

    pid: int
    ours: socket.socket
    its: socket.socket
    pause: float
    ready: bool = False
    began: float = field(default_factory=time.monotonic)

    def taken_back(self) -> Iterator[tuple[bytes, socket.socket]]:
        """Yield the connections that it has not taken, each after its index; it must not take any more."""
        self.its.setblocking(False)
        return take(self.its)

    def close(self) -> None:
        self.ours.close()
        self.its.close()


class Workers:
    """Runs workers that share a listener. `ended` is called with the process id of each that ended.

    `table` has rows for the connections. `reload` is called on SIGHUP, which is then forwarded and ends no worker.
    """

    def __init__(
        self,
        listener: socket.socket,
        work: Work,
        ended: Callable[[int], None],
        table: ConnectionTable,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._listener = listener
        self._work = work
        self._ended = ended
        self._held = HeldConnections(table)
        self._reload = reload
        self._signals = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if reload else ()))
        self._workers: list[_Worker] = []
        self._turns: Iterator[_Worker] = iter(())
        self._starts: deque[tuple[float, float]] = deque()  # when to start a worker, and the pause before it
        self._undealt: deque[socket.socket] = deque()
        self._stopping = False
        self._watched, self._lifeline = os.pipe()
        self._selector = selectors.DefaultSelector()

    def run(self, count: int) -> int:
        """Run `count` workers until a signal arrives; returns the worst of their exit codes."""
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._handle_signals()
        for index in range(count):
            self._start(0.0, announces=index == 0)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        worst = 0
        while self._workers or self._starts:
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            for worker in tuple(self._workers):
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    code = os.waitstatus_to_exitcode(status)
                    worst = max(worst, self._replace(worker, code), key=abs)
            self._start_due()
            self._deal()
            self._held.sweep()
        return worst

    def _timeout(self) -> float | None:
        """Seconds until something is to be done without an event."""
        times = [max(0.0, at - time.monotonic()) for at, _ in self._starts]
        return min([*times, *([_RETRY] if self._undealt else []), *([SWEEP] if self._held else [])], default=None)

    def _handle_signals(self) -> None:
        """Have every signal end the wait for events, and forward those that ask for it as an event of the loop.

        The handlers do nothing: they may run within any step, such as the start of a worker.
        """
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, lambda: self._hear_signals(reader.recv(4096)))
        self._wakeup = writer  # referenced, so that it stays open
        for number in (*self._signals, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def _hear_signals(self, numbers: bytes) -> None:
        """Forward the signals that arrived, one per byte; the end of a worker only ends the wait."""
        for number in numbers:
            if number in self._signals:
                self._forward(number)

    def _forward(self, number: int) -> None:
        """Stop or reload what the signal asks for, and send it to the workers."""
        if number in (signal.SIGINT, signal.SIGTERM):
            self._stop()
        elif self._reload is not None:
            self._reload()
        for worker in self._workers:
            os.kill(worker.pid, number)

    def _stop(self) -> None:
        """Accept no more connections, and replace no more workers."""
        if not self._stopping:
            self._stopping = True
            self._starts.clear()
            self._selector.unregister(self._listener)
            self._listener.close()

    # Workers

    def _start(self, pause: float, *, announces: bool = False) -> None:
        """Start a worker. `pause`: how long its start was delayed."""
        ours, its = socket.socketpair()
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)  # the worker must not run the handlers of its parent
        pid = os.fork()
        if pid == 0:
            self._become_worker(ours)
            sys.exit(self._work(its, announces))
        ours.setblocking(False)
        worker = _Worker(pid, ours, its, pause)
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(worker))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)

    def _start_due(self) -> None:
        """Start the workers whose pause is over."""
        while self._starts and self._starts[0][0] <= time.monotonic():
            self._start(self._starts.popleft()[1])

    def _become_worker(self, ours: socket.socket) -> None:
        """Leave the terminal's session, since signals are forwarded, and close what belongs to the parent.

        The worker terminates when the other end of the pipe closes.
        """
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.close(self._lifeline)
        self._selector.close()
        for owned in (ours, *self._undealt, *self._held.descriptors()):
            owned.close()
        for worker in self._workers:
            worker.close()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))  # SIGHUP waits for its handler (`reload`)

        def watch() -> None:
            os.read(self._watched, 1)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, daemon=True).start()

    def _replace(self, worker: _Worker, code: int) -> int:
        """Handle the end of a worker; returns the exit code to report, 0 if it is replaced."""
        self._workers.remove(worker)
        self._ended(worker.pid)
        self._selector.unregister(worker.ours)
        self._take_back(worker)
        worker.close()
        connections = self._held.end(worker.pid)
        self._undealt += connections.idle
        self._turns = cycle(self._workers)
        if self._stopping:  # by that signal itself if the worker has not begun to handle it
            return 0 if -code in self._signals else code
        if code > 0:
            self._forward(signal.SIGTERM)
            return code
        _LOG.warning(
            "a worker ended (%s) and is replaced; of its connections %d got an error, %d were closed, %d go to other workers",
            f"signal {-code}" if code else "exit code 0",
            connections.answered,
            connections.closed,
            len(connections.idle),
        )
        steady = time.monotonic() - worker.began >= _STEADY
        pause = 0.0 if steady else min(max(worker.pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._starts.append((time.monotonic() + pause, pause))
        return 0

    # Connections

    def _hear(self, worker: _Worker) -> None:
        """Read whether a worker takes connections; what it has not taken when it stops goes to the others."""
        worker.ready = worker.ours.recv(4096)[-1:] == READY
        self._turns = cycle(self._workers)
        if not worker.ready:
            self._take_back(worker)

    def _take_back(self, worker: _Worker) -> None:
        """Take the connections back that a worker has not taken, to deal them to others."""
        for index, connection in worker.taken_back():
            self._held.release(index)
            self._undealt.append(connection)

    def _accept(self) -> None:
        """Accept the connections that wait, and deal them."""
        for _ in range(_MOST_AT_ONCE):
            try:
                self._undealt.append(self._listener.accept()[0])
            except OSError:  # none, or one that is closed already
                return

    def _deal(self) -> None:
        """Deal connections to the workers in turn, as far as they can take them; close them once a signal has arrived."""
        while self._undealt and (self._stopping or self._dealt(self._undealt[0])):
            connection = self._undealt.popleft()
            if self._stopping:
                connection.close()

    def _dealt(self, connection: socket.socket) -> bool:
        index = self._held.reserve()
        for _ in range(len(self._workers)):
            worker = next(self._turns)
            if worker.ready:
                try:
                    socket.send_fds(worker.ours, [index], [connection.fileno()])
                except OSError:  # its channel is full, or it has just ended
                    continue
                self._held.keep(index, connection, worker.pid)
                return True
        self._held.cancel(index)
        return False
