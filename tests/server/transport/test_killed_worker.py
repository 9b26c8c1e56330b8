"""What the parent of several workers does with the connections of one that ended, by the table in shared memory."""

import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from controllable_engine import until
from dragoman.server.transport.killed_worker import ConnectionTable, Ended, HeldConnections, Row, State, WatchedConnection

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no workers")
WORKER, OTHER = 1, 2


class Dealt:
    """A connection that a worker has: its client, and what the worker does with it."""

    def __init__(self, held: HeldConnections, table: ConnectionTable, pid: int = WORKER) -> None:
        self.client, ours = socket.socketpair()
        self.client.settimeout(10)
        self.index = held.reserve()
        self.its = ours.dup()
        held.keep(self.index, ours, pid)
        watched = table.watched(self.its, self.index)
        assert watched is not None
        self.worker: WatchedConnection = watched
        self.row = table.row(int.from_bytes(self.index))

    def received(self) -> bytes:
        """What the client gets until the connection ends."""
        return b"".join(iter(lambda: self.client.recv(100), b""))

    def close(self) -> None:
        for connection in (self.client, self.its):
            connection.close()


class Parent:
    def __init__(self) -> None:
        self.table = ConnectionTable()
        self.held = HeldConnections(self.table)
        self.dealt: list[Dealt] = []
        self.rows = len(self.table.free)

    def deal(self, pid: int = WORKER) -> Dealt:
        self.dealt.append(Dealt(self.held, self.table, pid))
        return self.dealt[-1]

    def kill(self) -> Ended:
        """The worker ends, and with it its descriptors."""
        for dealt in self.dealt:
            dealt.its.close()
        return self.held.end(WORKER)


@pytest.fixture
def parent() -> Iterator[Parent]:
    parent = Parent()
    yield parent
    for dealt in parent.dealt:
        dealt.close()
    for connection in parent.held.descriptors():
        connection.close()


def test_each_state_has_its_end_and_the_connections_of_other_workers_stay(parent: Parent) -> None:
    idle, silent, ready, wordless, other = (parent.deal(pid) for pid in (WORKER, WORKER, WORKER, WORKER, OTHER))
    silent.worker.read()
    for dealt, text in ((ready, b"the end"), (wordless, b"")):
        dealt.row.make_ready(text)
    ended = parent.kill()
    assert (len(ended.idle), ended.answered, ended.closed) == (1, 1, 2)
    assert (silent.received(), ready.received(), wordless.received()) == (b"", b"the end", b"")
    with closing(ended.idle[0]) as again:
        idle.client.send(b"still here")
        assert again.recv(100) == b"still here"
    assert other.row.state is State.IDLE

    def only_the_other_is_held() -> bool:
        parent.held.sweep()
        return len(parent.held) == 1

    until(only_the_other_is_held, pause=0.05)
    assert len(parent.table.free) == parent.rows - 1


def test_a_closed_connection_ends_for_the_client_at_once_and_is_let_go(parent: Parent) -> None:
    dealt = parent.deal()
    dealt.worker.close()
    assert dealt.received() == b""
    parent.held.sweep()
    assert (len(parent.held), len(parent.table.free)) == (0, parent.rows)


def test_a_row_that_another_connection_has_got_is_not_changed_any_more(parent: Parent) -> None:
    first = parent.deal()
    first.worker.close()
    parent.held.sweep()
    second = parent.deal()
    assert second.index == first.index
    first.worker.silence()
    assert second.row.state is State.IDLE


def test_without_a_free_row_a_connection_is_left_to_its_worker(parent: Parent) -> None:
    parent.table.free.clear()
    client, ours = socket.socketpair()
    with client, ours:
        index = parent.held.reserve()
        assert parent.table.watched(ours, index) is None
        parent.held.keep(index, ours, WORKER)
        assert (ours.fileno(), len(parent.held)) == (-1, 0)
    parent.table.free.append(0)


class Sending:
    """A socket that notes what a row says while it sends."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self.noted: list[tuple[State, bytes]] = []

    def send(self, data: bytes) -> int:
        self.noted.append((self._row.state, self._row.text))
        return len(data)


def test_a_worker_that_is_killed_right_after_it_sent_the_head_of_a_stream_leaves_its_end(parent: Parent) -> None:
    dealt = parent.deal()
    connection: Any = Sending(dealt.row)
    transport = SimpleNamespace(is_closing=lambda: False, get_write_buffer_size=lambda: 0)
    scope = {"path": "/v1/messages", "headers": [], "state": {}}
    cycle: Any = SimpleNamespace(scope=scope, transport=transport, chunked_encoding=True)
    WatchedConnection(connection, dealt.row).answer(cycle)
    refusal = dealt.row.text
    cycle.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_1\r\n\r\n")
    cycle.transport.write(b"3\r\n:\n\n\r\n")
    assert refusal.startswith(b"HTTP/1.1 529 ")
    assert [state for state, _ in connection.noted] == [State.READY] * 2
    assert all(text.endswith(b"\r\n0\r\n\r\n") and b"event: error" in text for _, text in connection.noted)


def test_a_text_that_is_too_long_is_left_out(parent: Parent) -> None:
    row = parent.deal().row
    row.text = b"x" * 5000
    assert row.text == b""
