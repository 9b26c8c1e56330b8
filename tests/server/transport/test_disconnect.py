"""Clients that disconnect or stop reading: their work ends and their slot is freed (TRN-18)."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from conftest import body, live_registry, registry_of, user
from controllable_engine import FIRST_TOKEN, PREFILL, ControllableEngine, until, until_still
from dragoman.server.answering import stream
from dragoman.server.models.admission import Admission
from server.http import post, wire

HTTP_OK = 200


class SingleSlotServer(NamedTuple):
    """A server with a single slot, with its engine and admission."""

    url: str
    engine: ControllableEngine
    admission: Admission

    def settled(self) -> bool:
        """Whether no request runs or waits, and every opened generator is closed."""
        return self.admission.active == 0 and self.engine.opened == self.engine.closed and self.engine.waiting == 0


@pytest.fixture(scope="module")
def started() -> Iterator[SingleSlotServer]:
    engine = ControllableEngine(slots=1)
    registry = registry_of(engine, id="scripted")
    with live_registry(registry) as url:
        assert registry.ready is not None
        yield SingleSlotServer(url, engine, registry.ready.admission)


@pytest.fixture
def server(started: SingleSlotServer) -> Iterator[SingleSlotServer]:
    yield started
    started.engine.release()
    started.engine.reset()
    until(started.settled)


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("phase", [PREFILL, FIRST_TOKEN, 3], ids=["prefill", "first token", "mid-answer"])
def test_a_disconnect_frees_the_slot(server: SingleSlotServer, phase: int, streamed: bool) -> None:
    opened = server.engine.opened
    server.engine.says("one two three four five six")
    server.engine.hold(before=phase)
    with wire(server.url) as client:
        client.send(body(stream=streamed))
        until(lambda: server.engine.waiting == 1)
        if streamed:
            client.read_until(b"message_start")
    until(server.settled)
    assert server.engine.opened == opened + 1
    server.engine.release()
    assert post(server.url, body()).status == HTTP_OK


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_a_queued_request_that_disconnects_never_starts(server: SingleSlotServer, streamed: bool) -> None:
    server.engine.hold(before=FIRST_TOKEN)
    with wire(server.url) as working:
        working.send(body(stream=True))
        until(lambda: server.engine.waiting == 1)
        opened = server.engine.opened
        with wire(server.url) as queued:
            queued.send(body(stream=streamed))
            until(lambda: server.admission.active == 2)
        until(lambda: server.admission.active == 1)
        server.engine.release()
        working.read_until(b"message_stop")
    until(server.settled)
    assert server.engine.opened == opened


@pytest.mark.clause("TRN-18")
def test_the_next_in_the_queue_starts_when_the_running_request_disconnects(server: SingleSlotServer) -> None:
    server.engine.hold(before=FIRST_TOKEN)
    with wire(server.url) as queued:
        with wire(server.url) as working:
            working.send(body(stream=True))
            until(lambda: server.engine.waiting == 1)
            queued.send(body(user("next")))
            until(lambda: server.admission.active == 2)
            opened = server.engine.opened
        until(lambda: server.engine.opened == opened + 1)
        server.engine.release()
        assert b" 200 " in queued.read_until(b"\r\n")


def test_a_disconnect_while_the_body_arrives_has_no_effect(server: SingleSlotServer) -> None:
    with wire(server.url) as client:
        client.sock.sendall(
            b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
    assert post(server.url, body()).status == HTTP_OK


@pytest.mark.clause("TRN-18")
def test_a_client_that_stops_reading_is_cancelled_and_does_not_affect_others(
    server: SingleSlotServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STALL_LIMIT", 0.3)
    server.engine.says("".join(f"{number:04x} " for number in range(400_000)), chunk=5)
    with wire(server.url, buffer=4096) as stalled:
        stalled.send(body(stream=True, max_tokens=1_000_000))
        stalled.read_until(b"content_block_delta")
        until(server.settled)
        server.engine.says("Hello.")
        assert post(server.url, body()).status == HTTP_OK


@pytest.mark.clause("TRN-18")
def test_the_server_waits_for_a_slow_reader(server: SingleSlotServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STALL_LIMIT", 5)
    words = 50_000
    before = server.engine.chunks_sent
    server.engine.says("".join(f"{number:04x} " for number in range(words)), chunk=5)
    with wire(server.url, buffer=65536) as slow:
        slow.send(body(stream=True, max_tokens=words))
        slow.read_until(b"content_block_delta")
        written = until_still(lambda: server.engine.chunks_sent) - before
        assert written < words  # the engine generates no more than the buffers between it and the client hold
        received = slow.read_until(b"event: message_stop")
    assert received.count(b"text_delta") > words - 100
    until(server.settled)
