"""`dragoman serve --workers`: several processes, one port, one end."""

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
from server.http import get, post

from .process import Process, script, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
ESTABLISHED = "01"
HELLO = '{"output": "Hello there."}'


@contextmanager
def two(folder: Path) -> Iterator[tuple[Process, list[int]]]:
    """A server of two workers, and their process ids."""
    with serving("--engine", "scripted", "--script", script(folder, HELLO), "--workers", "2") as server:
        pid = server.pid
        workers = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        assert len(workers) == 2
        yield server, workers


def gone(workers: list[int]) -> bool:
    return not any(Path(f"/proc/{worker}").exists() for worker in workers)


def connected(worker: int) -> int:
    """How many clients hold a connection to a worker."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{worker}/fd").iterdir()}
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(row[3] == ESTABLISHED and f"socket:[{row[9]}]" in sockets for row in rows)


def test_connections_are_dealt_out_and_a_signal_ends_all(tmp_path: Path) -> None:
    with two(tmp_path) as (server, workers), ExitStack() as connections:
        address = urlsplit(server.url)

        def all_have_some() -> bool:
            connections.enter_context(socket.create_connection((address.hostname, address.port)))
            return all(connected(worker) > 8 for worker in workers)

        until(all_have_some)
        for _ in range(8):
            assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        assert gone(workers)


def test_whichever_worker_is_asked_counts_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with two(tmp_path) as (server, _):
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


def test_a_port_that_is_taken_is_refused_to_workers_too(tmp_path: Path) -> None:
    with two(tmp_path) as (server, _):
        port = str(urlsplit(server.url).port)
        lines = script(tmp_path, HELLO)
        done = CliRunner().invoke(main, ["serve", "--engine", "scripted", "--script", lines, "--workers", "2", "--port", port])
    assert done.exit_code != 0
    assert "cannot listen" in done.output


@pytest.mark.slow
def test_where_one_worker_dies_all_end_and_where_they_came_from_tells(tmp_path: Path) -> None:
    with two(tmp_path) as (server, workers):
        os.kill(workers[0], signal.SIGKILL)
        assert server.exit_code() != 0
        assert gone(workers)


@pytest.mark.slow
def test_workers_do_not_outlive_who_made_them(tmp_path: Path) -> None:
    with two(tmp_path) as (server, workers):
        server.signal(signal.SIGKILL)
        server.exit_code()
        until(lambda: gone(workers))


def test_an_engine_of_our_own_has_one_gateway(tmp_path: Path) -> None:
    weights = tmp_path / "model.gguf"
    done = CliRunner().invoke(main, ["serve", "--engine", "vllm", str(weights), "--workers", "2"])
    assert (done.exit_code, "--engine-url" in done.stderr) == (2, True)
