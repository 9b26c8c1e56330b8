"""Several gateways that share a place: each request of a batch is answered by one of them, also if one is killed."""

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anthropic import Anthropic

from cli.process import script, serving
from conftest import MODEL, body, live_server, user
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.errors import StorageFailed
from dragoman.server.batches import runner
from dragoman.storage import place as place_of
from dragoman.storage import sqlite
from dragoman.storage.batches.queue import LEASE_S
from dragoman.storage.batches.store import BatchStore
from dragoman.storage.database import Connection
from dragoman.storage.place import Place
from server.http import get, post

PATH = "/v1/messages/batches"
T = TypeVar("T")
SHORT_LEASES = """
import dragoman.storage.batches.queue, dragoman.server.batches.runner
dragoman.storage.batches.queue.LEASE_S = 1.5
dragoman.server.batches.runner.POLL_S = 0.3
from dragoman.cli import main
main()
"""


def asked(number: int, **fields: Any) -> list[Any]:
    return [{"custom_id": f"r{index}", "params": body(user(f"Question {index}."), **fields)} for index in range(number)]


def ended(client: Anthropic, identifier: str) -> Any:
    until(lambda: client.messages.batches.retrieve(identifier).processing_status == "ended", 60, pause=0.05)
    return client.messages.batches.retrieve(identifier)


def results(client: Anthropic, identifier: str) -> dict[str, str]:
    lines = list(client.messages.batches.results(identifier))
    assert len({line.custom_id for line in lines}) == len(lines)
    return {line.custom_id: line.result.type for line in lines}


def test_each_request_is_answered_by_one_gateway(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_S", 0.1)
    with ExitStack() as stack:
        engines = [ControllableEngine(slots=3) for _ in range(2)]
        for engine in engines:
            engine.hold(FIRST_TOKEN)
            engine.url = stack.enter_context(live_server(engine, id=MODEL, place=place))
        first, second = (stack.enter_context(Anthropic(base_url=engine.url, api_key="any")) for engine in engines)
        made = first.messages.batches.create(requests=asked(120))
        until(lambda: all(engine.waiting == 2 for engine in engines))
        for engine in engines:
            engine.release()
        assert ended(second, made.id).request_counts.succeeded == 120
        assert all(engine.requests for engine in engines)
        assert sum(len(engine.requests) for engine in engines) == 120
        assert set(results(first, made.id).values()) == {"succeeded"}


def test_servers_that_share_a_folder_answer_the_requests_for_their_own_models_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers accept every name that begins with `claude-`; the one that takes a batch in says which model is meant."""
    monkeypatch.setattr(runner, "POLL_S", 0.1)
    place, other, engine = Place(tmp_path), ControllableEngine(), ControllableEngine()
    with live_server(other, id="other", place=place), live_server(engine, id=MODEL, place=place) as url:
        engine.hold(FIRST_TOKEN)
        with Anthropic(base_url=url, api_key="any") as client:
            requests = asked(100, model="claude-any")
            requests[50]["params"]["model"] = "no-such-model"
            requests[60]["params"]["model"] = "other"  # one that the server has not to which it was sent
            made = client.messages.batches.create(requests=requests)
            until(lambda: engine.waiting > 0)
            engine.release()
            assert ended(client, made.id).request_counts.succeeded == 98
            errors: dict[str, Any] = {line.custom_id: line.result for line in client.messages.batches.results(made.id)}
            assert "no-such-model" in errors["r50"].error.error.message
            assert errors["r60"].error.error.type == "not_found_error"
    assert other.requests == []


@pytest.mark.slow
def test_a_batch_ends_although_transactions_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_S", 0.05)
    monkeypatch.setattr(runner, "PAUSE_S", 0.01)
    engine = ControllableEngine(slots=4)
    chance = random.Random(7)  # failures at regular distances could always hit the same step

    class Failing(sqlite.SqliteDatabase):
        def run_here(self, work: Callable[[Connection], T]) -> T:
            if fails.is_set() and chance.random() < 1 / 7:
                raise StorageFailed("the database cannot be used")
            return super().run_here(work)

    fails, store = threading.Event(), BatchStore(Place(tmp_path))
    monkeypatch.setattr(place_of, "SqliteDatabase", Failing)
    with live_server(engine, id=MODEL, place=Place(tmp_path)) as url, Anthropic(base_url=url, api_key="any") as client:
        engine.hold(FIRST_TOKEN)
        made = client.messages.batches.create(requests=asked(30))
        until(lambda: engine.waiting > 0)
        fails.set()
        engine.release()
        until(lambda: _answered(store, made.id) == 30, 4 * LEASE_S, pause=0.05)  # a failure may cost a lease
        fails.clear()
        assert ended(client, made.id).request_counts.succeeded == 30
    assert len(engine.requests) == 30  # no answer was lost, and none computed twice


@pytest.mark.slow
def test_a_batch_outlives_a_killed_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_S", 0.3)
    lines = script(tmp_path, json.dumps({"output": "one two three four", "delay_ms": 20}))
    program = [sys.executable, "-c", SHORT_LEASES]
    options = ["--engine", "scripted", "--script", lines, "--data-dir", str(tmp_path / "data"), "--parallel", "4"]
    with serving(*options, program=program) as server, Anthropic(base_url=server.url, api_key="any") as client:
        made = client.messages.batches.create(requests=asked(60, model="claude-any", max_tokens=100))
        store = BatchStore(Place(tmp_path / "data"))
        until(lambda: _answered(store, made.id) > 5, pause=0.05)
        os.kill(server.pid, signal.SIGKILL)
        server.exit_code()
    before = _answered(store, made.id)
    assert 5 < before < 60
    engine = ControllableEngine(slots=4)
    with live_server(engine, id=MODEL, place=Place(tmp_path / "data")) as url, Anthropic(base_url=url, api_key="any") as client:
        assert ended(client, made.id).request_counts.succeeded == 60
        assert len(results(client, made.id)) == 60
    assert len(engine.requests) == 60 - before  # what had a result was not answered again


def _answered(store: BatchStore, batch: str) -> int:
    count = "SELECT total - (SELECT COUNT(*) FROM batched_requests WHERE batch = id AND state = 0) FROM batches WHERE id = ?"
    answered: int = store._database.run_here(lambda connection: connection.execute(count, (batch,)).fetchone())[0]
    return answered


@pytest.mark.slow
def test_a_batch_of_ten_thousand_requests_takes_no_memory(tmp_path: Path) -> None:
    lines = script(tmp_path, json.dumps({"output": "one", "chunk": 0}))
    options = ["--engine", "scripted", "--script", lines, "--data-dir", str(tmp_path / "data"), "--parallel", "8"]
    with serving(*options) as server, Anthropic(base_url=server.url, api_key="any", timeout=120) as client:
        ended(client, client.messages.batches.create(requests=asked(50, model="claude-any")).id)
        before = _resident(server.pid)
        requests = asked(10_000, model="claude-any", system="word " * 1000, max_tokens=5)
        made = client.messages.batches.retrieve(post(server.url, {"requests": requests}, PATH).json["id"])
        most = [before, _resident(server.pid)]
        store = BatchStore(Place(tmp_path / "data"))
        until(lambda: _answered(store, made.id) > 200, 60, pause=0.2)
        most.append(_resident(server.pid))
        client.messages.batches.cancel(made.id)
        counts = ended(client, made.id).request_counts
        assert (counts.succeeded > 200, counts.succeeded + counts.canceled) == (True, 10_000)
        assert get(server.url, f"{PATH}/{made.id}/results").content.count(b"\n") == 10_000
        assert max(*most, _resident(server.pid)) - before < 40e6  # the body has 55 MB
        server.signal(signal.SIGTERM)


def _resident(pid: int) -> int:
    """The memory of a process, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
