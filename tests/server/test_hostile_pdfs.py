"""Broken and hostile PDFs in requests to a server of its own process: no 5xx, no growth, and other requests are not delayed."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from cli.process import script, serving
from conftest import body, user
from media.hostile_pdfs import bombs, damaged
from media.pictures import in_base64

from .http import post

COUNT = "/v1/messages/count_tokens"
SLOW_S = 0.05
MOST_GROWTH = 32 << 20
PAUSE_S = 0.01


def asked(data: bytes) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": in_base64(data)}
    return body({"role": "user", "content": [{"type": "document", "source": source}]})


def memory(pid: int) -> int:
    """Bytes of a process in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def small_request(url: str) -> float:
    """The seconds that a small request takes."""
    begin = time.perf_counter()
    assert post(url, body(user("Hi")), COUNT).status == HTTPStatus.OK
    return time.perf_counter() - begin


@contextmanager
def other_requests(url: str) -> Iterator[list[float]]:
    """Send small requests all the time; the list gets the seconds that each took."""
    seconds: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(PAUSE_S):
            seconds.append(small_request(url))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()


def usual_worst(seconds: list[float]) -> float:
    """The time within which nineteen of twenty requests were answered."""
    return sorted(seconds)[len(seconds) * 19 // 20]


@pytest.mark.slow
@pytest.mark.clause("IN-5", "ERR-9")
def test_hundreds_of_broken_pdfs_harm_neither_the_server_nor_other_requests(tmp_path: Path) -> None:
    outcomes: Counter[int] = Counter()
    with serving("--engine", "scripted", "--script", script(tmp_path, '{"output": "Hello."}')) as server:
        for data in islice(damaged(seed=1), 30):  # what is loaded and started at first does not count
            post(server.url, asked(data), COUNT)
        alone = [small_request(server.url) for _ in range(100)]
        before = memory(server.pid)
        with other_requests(server.url) as beside:
            for data in chain(islice(bombs(), 1, 2), islice(damaged(seed=2), 120)):
                answer = post(server.url, asked(data), COUNT)
                outcomes[answer.status] += 1
                assert answer.status == HTTPStatus.OK or "capability_rejected: document_block" in answer.error[1]
        assert set(outcomes) == {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}, outcomes
        assert memory(server.pid) - before < MOST_GROWTH
        assert usual_worst(beside) < max(SLOW_S, 2 * usual_worst(alone))
