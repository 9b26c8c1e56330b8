"""Clients that leave, or stop listening: their work ends and their slot is free (TRN-18)."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from conftest import body, live_registry, user
from controllable_engine import FIRST_TOKEN, PREFILL, ControllableEngine, until, until_still
from dragoman.server import ModelRegistry, Settings, stream
from dragoman.server.admission import Admission
from server.http import post, wire

HTTP_OK = 200


class House(NamedTuple):
    """A server with a single slot, seen from behind."""

    url: str
    engine: ControllableEngine
    admission: Admission

    def settled(self) -> bool:
        """Nobody is inside, and every generator that was opened is closed."""
        return self.admission.inside == 0 and self.engine.opened == self.engine.closed and self.engine.waiting == 0


@pytest.fixture(scope="module")
def built() -> Iterator[House]:
    engine = ControllableEngine(slots=1)
    registry = ModelRegistry(engine, Settings(model_id="scripted"))
    with live_registry(registry) as url:
        assert registry.ready is not None
        yield House(url, engine, registry.ready.admission)


@pytest.fixture
def house(built: House) -> Iterator[House]:
    yield built
    built.engine.release()
    built.engine.reset()
    until(built.settled)


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("phase", [PREFILL, FIRST_TOKEN, 3], ids=["prefill", "first token", "mid-answer"])
def test_leaving_frees_the_slot(house: House, phase: int, streamed: bool) -> None:
    opened = house.engine.opened
    house.engine.says("one two three four five six")
    house.engine.hold(before=phase)
    with wire(house.url) as client:
        client.send(body(stream=streamed))
        until(lambda: house.engine.waiting == 1)
        if streamed:
            client.read_until(b"message_start")
    until(house.settled)
    assert house.engine.opened == opened + 1
    house.engine.release()
    assert post(house.url, body()).status == HTTP_OK


@pytest.mark.clause("TRN-18")
@pytest.mark.parametrize("streamed", [True, False])
def test_leaving_the_queue_leaves_no_trace(house: House, streamed: bool) -> None:
    house.engine.hold(before=FIRST_TOKEN)
    with wire(house.url) as working:
        working.send(body(stream=True))
        until(lambda: house.engine.waiting == 1)
        opened = house.engine.opened
        with wire(house.url) as queued:
            queued.send(body(stream=streamed))
            until(lambda: house.admission.inside == 2)
        until(lambda: house.admission.inside == 1)
        house.engine.release()
        working.read_until(b"message_stop")
    until(house.settled)
    assert house.engine.opened == opened


@pytest.mark.clause("TRN-18")
def test_the_next_in_the_queue_moves_up_when_the_one_at_work_leaves(house: House) -> None:
    house.engine.hold(before=FIRST_TOKEN)
    with wire(house.url) as queued:
        with wire(house.url) as working:
            working.send(body(stream=True))
            until(lambda: house.engine.waiting == 1)
            queued.send(body(user("next")))
            until(lambda: house.admission.inside == 2)
            opened = house.engine.opened
        until(lambda: house.engine.opened == opened + 1)
        house.engine.release()
        assert b" 200 " in queued.read_until(b"\r\n")


def test_leaving_while_the_body_is_still_coming_is_no_matter(house: House) -> None:
    with wire(house.url) as client:
        client.sock.sendall(
            b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        )
    assert post(house.url, body()).status == HTTP_OK


@pytest.mark.clause("TRN-18")
def test_a_client_that_stops_reading_is_given_up_and_disturbs_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STALL_LIMIT", 0.3)
    house.engine.says("".join(f"{number:04x} " for number in range(400_000)), chunk=5)
    with wire(house.url, buffer=4096) as stalled:
        stalled.send(body(stream=True, max_tokens=1_000_000))
        stalled.read_until(b"content_block_delta")
        until(house.settled)
        house.engine.says("Hello.")
        assert post(house.url, body()).status == HTTP_OK


@pytest.mark.clause("TRN-18")
def test_a_client_that_reads_slowly_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STALL_LIMIT", 5)
    words = 50_000
    before = house.engine.chunks_sent
    house.engine.says("".join(f"{number:04x} " for number in range(words)), chunk=5)
    with wire(house.url, buffer=65536) as slow:
        slow.send(body(stream=True, max_tokens=words))
        slow.read_until(b"content_block_delta")
        written = until_still(lambda: house.engine.chunks_sent) - before
        assert written < words  # the engine is not asked for more than fits between it and the client
        told = slow.read_until(b"event: message_stop")
    assert told.count(b"text_delta") > words - 100
    until(house.settled)
