"""Answers the clients of a worker process that was killed, in its place.

The parent keeps a descriptor of each connection that it deals to a worker (`HeldConnections`). In a table in shared memory each
has a row, in which the worker says where it is (`WatchedConnection`):

    dealt ──▶ IDLE ◀───────────── the response is complete ─────────────┐
               │                                                       │
               └── bytes of a request ──▶ SILENT ── its head is read, ──▶ READY
                                            ▲       or all is written     │
                                            └─── the socket is full ──────┘

    state    the worker                                      if it is killed, the parent
    ───────  ──────────────────────────────────────────────  ─────────────────────────────────────────
    IDLE     has read nothing of a request                   deals the connection to another worker
    SILENT   has part of a head, or has not written all      closes it: nothing can be said there
    READY    works on the response, all of it is written     writes the text of the row, and closes it
    CLOSED   has shut the connection down                    closes its descriptor, which it does anyway

A worker is not killed within a call that sends: what it passes to the socket is sent whole, or the socket is full, and then the
parent cannot write either. But it is often killed right after one, when the kernel lets the process run that receives. So the
row of a stream is READY shortly before its head is sent. A worker that is killed in between leaves an end without a head, which
clients take for a broken connection.

The text is an HTTP error as long as the response has not begun; in a stream of events it is the `error` event and the last
chunk; in another response it is empty. With TLS only the worker can write: such connections have no row.
"""

import asyncio
import mmap
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from dragoman.errors import WorkerEnded
from dragoman.server.transport.respond import format_of, plain_path, refusal
from dragoman.server.transport.versions import VERSION_HEADER

_ROWS: Final = 4096
"""Connections that are held at once at most; the parent holds as many as half of its descriptors. Others have no row."""
_ROW: Final = 2048
"""Bytes of a row: the state, the length of the text in two bytes, and the text."""
_HEAD: Final = 3
_NO_ROW: Final = 0xFFFF_FFFF
_LINGER: Final = 1.0
"""Seconds in which a client may still send after the parent's answer: closing at once could lose it (RFC 9112, 9.6)."""
_CONTINUE: Final = b"HTTP/1.1 100"
_REQUEST_ID: Final = re.compile(rb"\r\nrequest-id: ([\w-]+)")
_ERROR: Final = WorkerEnded("the process of the server that worked on this request has ended")

SWEEP: Final = 1.0
"""Seconds between two looks at the held connections for those that are closed."""
INDEX_BYTES: Final = 4
"""Bytes of the index of a row."""


class State(IntEnum):
    """Where the worker is with a connection."""

    IDLE = 0
    SILENT = 1
    READY = 2
    CLOSED = 3


class Row:
    """The row of one connection."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self._memory: mmap.mmap | bytearray = memory
        self._at = index * _ROW

    @property
    def state(self) -> State:
        """Where the worker is."""
        return State(self._memory[self._at])

    @state.setter
    def state(self, state: State) -> None:
        self._memory[self._at] = state

    @property
    def text(self) -> bytes:
        """What ends the response in state READY, at once and in good order."""
        start = self._at + _HEAD
        return bytes(self._memory[start : start + int.from_bytes(self._memory[self._at + 1 : start])])

    @text.setter
    def text(self, text: bytes) -> None:
        """Set the text, except in state READY; one that is too long becomes empty."""
        kept = text if len(text) <= _ROW - _HEAD else b""
        self._memory[self._at + 1 : self._at + _HEAD + len(kept)] = len(kept).to_bytes(_HEAD - 1) + kept

    def make_ready(self, text: bytes) -> None:
        """Change to state READY with this text; a worker that is killed meanwhile leaves the row SILENT."""
        self.state = State.SILENT
        self.text = text
        self.state = State.READY

    def close(self) -> None:
        """Leave the row to the parent, which may use it for another connection: later changes do not reach it."""
        self.state = State.CLOSED
        self._memory, self._at = bytearray(_ROW), 0


class ConnectionTable:
    """The rows, in memory that the parent and all workers share; made before the first worker is started.

    There are none if the connections are `encrypted`.
    """

    def __init__(self, *, encrypted: bool = False) -> None:
        files = os.sysconf("SC_OPEN_MAX")  # -1 for no limit
        count = _ROWS if files < 0 else min(_ROWS, files // 2)
        self._memory = mmap.mmap(-1, count * _ROW)
        self.free = [] if encrypted else list(reversed(range(count)))

    def row(self, index: int) -> Row:
        """Return a row by its index."""
        return Row(self._memory, index)

    def watched(self, connection: socket.socket, index: bytes) -> "WatchedConnection | None":
        """Return the connection that arrived with this index at a worker; None if it has no row."""
        number = int.from_bytes(index)
        return None if number == _NO_ROW else WatchedConnection(connection, self.row(number))


class WatchedConnection:
    """A connection with a row, in the worker."""

    def __init__(self, connection: socket.socket, row: Row) -> None:
        self._socket = connection
        self._row = row

    def read(self) -> None:
        """Note that bytes of the client were read."""
        if self._row.state is State.IDLE:
            self._row.state = State.SILENT

    def silence(self) -> None:
        """Note that what follows cannot be continued by the parent."""
        self._row.state = State.SILENT

    def answer(self, cycle: RequestResponseCycle) -> None:
        """Note that a response is being made, and watch what it writes."""
        self._row.make_ready(refusal(cycle.scope["path"], _ERROR, cycle.scope["headers"], cycle.scope["state"]))
        cycle.transport = _WatchedTransport(cycle, self._socket, self._row)

    def complete(self) -> None:
        """Note that the response is complete, and nothing was read after its request."""
        self._row.state = State.IDLE

    def close(self) -> None:
        """Close the connection for the client, although the parent has a descriptor of it."""
        _shut_down(self._socket, socket.SHUT_RDWR)
        self._row.close()


class _WatchedTransport(asyncio.Transport):
    """The transport of one response. It sends at once what the socket takes, so that the row says what the client has."""

    def __init__(self, cycle: RequestResponseCycle, connection: socket.socket, row: Row) -> None:
        super().__init__()
        self._cycle = cycle
        self._transport = cycle.transport
        self._socket = connection
        self._row = row
        self._begun = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write a head, or whole chunks."""
        if not self._begun and bytes(data[: len(_CONTINUE)]) != _CONTINUE:
            self._begun = True
            self._row.make_ready(_end_of_stream(self._cycle, bytes(data)))
        self._row.state = State.READY if self._sent(data) else State.SILENT

    def _sent(self, data: bytes | bytearray | memoryview) -> bool:
        """Send data; whether all of it is sent. What the socket does not take is left to the transport of the event loop."""
        sent = 0
        if not (self._transport.is_closing() or self._transport.get_write_buffer_size()):
            with suppress(OSError):  # the socket is full, or broken: then the transport finds that, too
                sent = self._socket.send(data)
        if sent < len(data):
            self._transport.write(data[sent:])
        return sent == len(data)

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection when everything is written."""
        self._transport.close()


def _end_of_stream(cycle: RequestResponseCycle, head: bytes) -> bytes:
    """The end of a stream of events with this head, as chunks; empty for other responses."""
    if b"\r\ncontent-type: text/event-stream" not in head or not cycle.chunked_encoding:
        return b""
    api_format = format_of(plain_path(cycle.scope["path"]), {VERSION_HEADER: ""})
    request_id = _REQUEST_ID.search(head)
    events = api_format.error_frame(_ERROR, request_id[1].decode() if request_id else "") + api_format.end
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(events), events)


class Ended(NamedTuple):
    """The connections of a worker that ended: those that another can take, and how many got an error or were only closed."""

    idle: list[socket.socket]
    answered: int
    closed: int


class HeldConnections:
    """The descriptors that the parent keeps of the connections of its workers, as far as there are rows for them."""

    def __init__(self, table: ConnectionTable) -> None:
        self._table = table
        self._held: dict[int, tuple[int, socket.socket]] = {}  # by the index of the row: the worker's process id
        self._leaving: list[tuple[float, socket.socket]] = []  # when to close a connection that was answered
        self._swept = 0.0

    def __len__(self) -> int:
        """How many descriptors there are."""
        return len(self._held) + len(self._leaving)

    def reserve(self) -> bytes:
        """Return the index of a free row, to be sent to a worker; it may be one that means no row."""
        index = self._table.free.pop() if self._table.free else _NO_ROW
        if index != _NO_ROW:
            self._table.row(index).state = State.IDLE
        return index.to_bytes(INDEX_BYTES)

    def cancel(self, index: bytes) -> None:
        """Return a row: the worker could not take the connection."""
        if (number := int.from_bytes(index)) != _NO_ROW:
            self._table.free.append(number)

    def keep(self, index: bytes, connection: socket.socket, pid: int) -> None:
        """Keep a connection that a worker has got; close it if it has no row."""
        if (number := int.from_bytes(index)) == _NO_ROW:
            connection.close()
        else:
            self._held[number] = pid, connection

    def release(self, index: bytes) -> None:
        """Close the descriptor of a connection that its worker has not taken, and has given back."""
        if (number := int.from_bytes(index)) in self._held:
            self._close(number)

    def sweep(self) -> None:
        """Close what workers have closed, and what was answered a while ago; once in `SWEEP` seconds, or if no row is free."""
        now = time.monotonic()
        if now < self._swept + SWEEP and self._table.free:
            return
        self._swept = now
        for index in [index for index in self._held if self._table.row(index).state is State.CLOSED]:
            self._close(index)
        while self._leaving and self._leaving[0][0] <= now:
            self._leaving.pop(0)[1].close()

    def end(self, pid: int) -> Ended:
        """Answer the clients of a worker that has ended."""
        idle, answered, closed = [], 0, 0
        for index in [index for index, (worker, _) in self._held.items() if worker == pid]:
            row, (_, connection) = self._table.row(index), self._held.pop(index)
            if row.state is State.IDLE:
                idle.append(connection)
            elif row.state is State.READY and row.text and _sent(connection, row.text):
                self._leaving.append((time.monotonic() + _LINGER, connection))
                answered += 1
            else:
                _shut_down(connection, socket.SHUT_RDWR)
                connection.close()
                closed += 1
            self._table.free.append(index)
        return Ended(idle, answered, closed)

    def descriptors(self) -> Iterator[socket.socket]:
        """Yield all of them; a worker closes its copies."""
        yield from (connection for _, connection in self._held.values())
        yield from (connection for _, connection in self._leaving)

    def _close(self, index: int) -> None:
        self._held.pop(index)[1].close()
        self._table.free.append(index)


def _sent(connection: socket.socket, text: bytes) -> bool:
    """Send the last bytes of a connection; whether all of them were sent."""
    try:
        sent = connection.send(text, socket.MSG_DONTWAIT)
    except OSError:  # the client does not read, or has left
        return False
    _shut_down(connection, socket.SHUT_WR)
    return sent == len(text)


def _shut_down(connection: socket.socket, how: int) -> None:
    with suppress(OSError):  # the client has closed it
        connection.shutdown(how)
