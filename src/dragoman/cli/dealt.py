"""The connections of a worker process, which its parent accepted (`workers`).

They arrive on a channel, a file descriptor with each index of a row (`killed_worker`). The worker writes `READY` to it when it
takes connections, and `STOPPING` when it takes no more.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from dragoman.server.transport.killed_worker import INDEX_BYTES, ConnectionTable, WatchedConnection

READY: Final = b"r"
STOPPING: Final = b"s"


def take(channel: socket.socket) -> Iterator[tuple[bytes, socket.socket]]:
    """Yield the connections that wait on a channel, which does not block, each after its index."""
    while True:
        try:
            index, files, _, _ = socket.recv_fds(channel, INDEX_BYTES, 1)
        except OSError:
            return
        if not index:
            return
        yield from ((index, socket.socket(fileno=file)) for file in files)


class DealtConnections:
    """Serves the connections that arrive on a channel, with a protocol each, over TLS if there is a context.

    `table` has the rows of the connections that the parent holds, too.
    """

    def __init__(
        self,
        channel: socket.socket,
        table: ConnectionTable,
        protocol: Callable[[WatchedConnection | None], asyncio.Protocol],
        context: ssl.SSLContext | None,
    ) -> None:
        self._channel = channel
        self._table = table
        self._protocol = protocol
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take connections from now on."""
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel.fileno(), self._receive)
        self._channel.send(READY)

    def stop(self) -> None:
        """Take no more connections; the parent deals those that wait to other workers. May be called twice."""
        if asyncio.get_running_loop().remove_reader(self._channel.fileno()):
            with contextlib.suppress(OSError):  # the parent ended
                self._channel.send(STOPPING)

    def _receive(self) -> None:
        for index, connection in take(self._channel):
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._serve(connection, self._table.watched(connection, index)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket, watched: WatchedConnection | None) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._protocol, watched), connection, ssl=self._context
            )
        except OSError:  # it is closed already, or its TLS handshake failed
            if watched is not None:
                watched.close()
