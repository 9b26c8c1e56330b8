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
from server.http import get, post

from .process import Process, script, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
ESTABLISHED = "01"
HELLO = '{"output": "Hello there."}'


@contextmanager
def two_workers(folder: Path) -> Iterator[tuple[Process, list[int]]]:
    """A server with two workers, and their process ids."""
    with serving("--engine", "scripted", "--script", script(folder, HELLO), "--workers", "2") as server:
        pid = server.pid
        workers = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        assert len(workers) == 2
        yield server, workers


def ended(workers: list[int]) -> bool:
    return not any(Path(f"/proc/{worker}").exists() for worker in workers)


def connected(worker: int) -> int:
    """The number of client connections of a worker."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{worker}/fd").iterdir()}
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(row[3] == ESTABLISHED and f"socket:[{row[9]}]" in sockets for row in rows)


def test_connections_are_distributed_and_a_signal_ends_all(tmp_path: Path) -> None:
    with two_workers(tmp_path) as (server, workers), ExitStack() as connections:
        address = urlsplit(server.url)

        def all_have_some() -> bool:
            connections.enter_context(socket.create_connection((address.hostname, address.port)))
            return all(connected(worker) > 8 for worker in workers)

        until(all_have_some)
        for _ in range(8):
            assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        assert ended(workers)


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


@pytest.mark.slow
def test_if_one_worker_dies_all_end_with_an_error(tmp_path: Path) -> None:
    with two_workers(tmp_path) as (server, workers):
        os.kill(workers[0], signal.SIGKILL)
        assert server.exit_code() != 0
        assert ended(workers)


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
