"""`dragoman serve --workers`: several processes, one port, one end."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import body
from dragoman.cli import main
from server.http import get, post
from stage import until

from .process import Process, script, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
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


def test_each_worker_answers_and_a_signal_ends_all(tmp_path: Path) -> None:
    with two(tmp_path) as (server, workers):
        for other in workers:
            os.kill(other, signal.SIGSTOP)  # so that it is the one that is left who answers
            assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
            os.kill(other, signal.SIGCONT)
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        assert gone(workers)


def test_whichever_worker_is_asked_counts_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with two(tmp_path) as (server, workers):
        for other in workers:
            os.kill(other, signal.SIGSTOP)
            assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
            os.kill(other, signal.SIGCONT)
        counted = 'dragoman_requests_total{endpoint="/v1/messages",status="200"} 2.0'
        until(lambda: counted in get(server.url, "/metrics").content.decode())
        for other in workers:
            os.kill(other, signal.SIGSTOP)
            page = get(server.url, "/metrics").content.decode()
            os.kill(other, signal.SIGCONT)
            for line in (counted, "dragoman_requests_running 0.0", "dragoman_engine_restarts_total 0.0"):
                assert line in page
        assert list(tmp_path.glob("dragoman-*/counter_*"))
        server.signal(signal.SIGTERM)
        server.exit_code()
        assert not list(tmp_path.glob("dragoman-*"))


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
