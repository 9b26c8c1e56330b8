"""Tests `dragoman serve --workers`: several processes on one port."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from conftest import body
from controllable_engine import until
from dragoman.cli import main
from server.http import get, post, wire

from .process import Process, script, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
ESTABLISHED = "01"
HELLO = '{"output": "Hello there."}'


@contextmanager
def two_workers(folder: Path) -> Iterator[tuple[Process, list[int]]]:
    """A server with two workers, and their process ids."""
    with serving("--engine", "scripted", "--script", script(folder, HELLO), "--workers", "2") as server:
        workers = children(server.pid)
        assert len(workers) == 2
        yield server, workers


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(workers: list[int]) -> bool:
    return not any(Path(f"/proc/{worker}").exists() for worker in workers)


def replace_first(server: Process) -> None:
    """Kill the first worker, and wait until another has taken its place."""
    workers = children(server.pid)
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: ended(workers[:1]) and len(children(server.pid)) == len(workers))


def connections_of(worker: int) -> set[int]:
    """The ports of the clients that are connected to a worker."""
    sockets = {Path(os.path.realpath(file)).name for file in Path(f"/proc/{worker}/fd").iterdir()}
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(row[2].partition(":")[2], 16) for row in rows if row[3] == ESTABLISHED and f"socket:[{row[9]}]" in sockets}


def connected(worker: int) -> int:
    return len(connections_of(worker))


def dealt(server: Process, workers: list[int], count: int) -> list[int]:
    """How many of so many connections each worker gets."""
    address = urlsplit(server.url)
    until(lambda: not any(map(connected, workers)))
    with ExitStack() as connections:
        for _ in range(count):
            connections.enter_context(socket.create_connection((address.hostname, address.port)))
        until(lambda: sum(map(connected, workers)) == count)
        return [connected(worker) for worker in workers]


@pytest.mark.slow
def test_connections_are_dealt_in_turn_and_a_signal_ends_all(tmp_path: Path) -> None:
    with two_workers(tmp_path) as (server, workers):
        until(lambda: dealt(server, workers, 2) == [1, 1])  # both are ready
        assert dealt(server, workers, 20) == [10, 10]
        ids = [post(server.url, body(model=server.model)).headers["request-id"] for _ in range(6)]
        for _ in workers:  # each of them answers for all
            listed = get(server.url, "/api/requests").json["requests"]
            assert [request["entry"]["request_id"] for request in listed if request["phase"] == "over"] == ids[::-1]
        for name in ids:
            assert get(server.url, f"/api/requests/{name}").json["summary"]["entry"]["request_id"] == name
        assert get(server.url, "/api/requests/req_unknown").status == HTTPStatus.NOT_FOUND
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        assert ended(workers)


@pytest.mark.slow
def test_the_status_of_a_model_is_that_of_all_workers(tmp_path: Path) -> None:
    lines = script(tmp_path, '{"output": "%s", "delay_ms": 20}' % ("word " * 2000))
    with (
        serving("--engine", "scripted", "--script", lines, "--workers", "2", "--parallel", "3") as server,
        ExitStack() as stack,
    ):
        workers = children(server.pid)
        until(lambda: dealt(server, workers, 2) == [1, 1])
        streams = [stack.enter_context(wire(server.url)) for _ in range(4)]
        for stream in streams:
            stream.send(body(stream=True))
            stream.read_until(b"word")
        for _ in workers:
            (status,) = get(server.url, "/api/models").json["models"]
            assert (status["busy"], status["slots"], status["state"]) == (4, 6, "loaded")
        for stream in streams:
            stream.sock.close()
        assert post(server.url, None, f"/api/models/{server.model}/stop").json["state"] == "unloaded"
        for _ in workers:
            assert get(server.url, "/api/models").json["models"][0]["state"] == "unloaded"


@pytest.mark.slow
def test_every_worker_reports_the_metrics_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with two_workers(tmp_path) as (server, _):
        for _ in range(8):
            assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
        counted = 'dragoman_requests_total{endpoint="/v1/messages",status="200"} 8.0'
        until(lambda: counted in get(server.url, "/metrics").content.decode())
        for _ in range(8):
            page = get(server.url, "/metrics").content.decode()
            for line in (counted, "dragoman_requests_running 0.0", "dragoman_engine_restarts_total 0.0"):
                assert line in page
        assert list(tmp_path.glob("dragoman-*/counter_*"))
        server.signal(signal.SIGTERM)
        server.exit_code()
        assert not list(tmp_path.glob("dragoman-*"))


def test_a_port_in_use_is_refused_for_workers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        lines = script(tmp_path, HELLO)
        done = CliRunner().invoke(main, ["serve", "--engine", "scripted", "--script", lines, "--workers", "2", "--port", port])
    assert done.exit_code != 0
    assert "cannot listen" in done.output


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_worker_that_ends_is_replaced_and_no_other_request_fails(tmp_path: Path, number: signal.Signals) -> None:
    with two_workers(tmp_path) as (server, workers):
        os.kill(workers[0], number)
        if number is signal.SIGTERM:  # until it has stopped, it refuses requests that clients repeat
            until(lambda: ended(workers[:1]))
        for _ in range(20):
            assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
        until(lambda: len(children(server.pid)) == 2 and ended(workers[:1]))
        assert children(server.pid)[0] == workers[1]
        assert "dragoman_requests_running 0.0" in get(server.url, "/metrics").content.decode()
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with two_workers(tmp_path) as (server, workers):
        server.signal(signal.SIGKILL)
        server.exit_code()
        until(lambda: ended(workers))


def test_workers_need_a_remote_engine(tmp_path: Path) -> None:
    weights = tmp_path / "model.gguf"
    done = CliRunner().invoke(main, ["serve", "--engine", "vllm", str(weights), "--workers", "2"])
    assert (done.exit_code, "--engine-url" in done.stderr) == (2, True)
