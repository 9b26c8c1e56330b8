"""Broken and hostile images in requests to a server of its own process: no 5xx, no growth, others are not delayed."""

from collections import Counter
from http import HTTPStatus
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from cli.process import script, serving
from conftest import body
from media.hostile_images import OTHER_TYPES, bombs, damaged
from media.pictures import in_base64
from server.test_hostile_pdfs import COUNT, MOST_GROWTH, SLOW_S, memory, other_requests, small_request, usual_worst

from .http import post

NOWHERE = "http://127.0.0.1:9"
"""The address of a vision model that does not answer: images are decoded, and a note takes their place."""


def asked(data: bytes) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": in_base64(data)}
    return body({"role": "user", "content": [{"type": "image", "source": source}]})


@pytest.mark.slow
@pytest.mark.clause("IN-3", "ERR-9", "CC-8")
def test_hundreds_of_broken_images_harm_neither_the_server_nor_other_requests(tmp_path: Path) -> None:
    outcomes: Counter[int] = Counter()
    scripted = ("--engine", "scripted", "--script", script(tmp_path, '{"output": "Hello."}'))
    with serving(*scripted, "--vision-model", NOWHERE) as server:
        for data in islice(damaged(seed=3), 30):  # what is loaded and started at first does not count
            post(server.url, asked(data), COUNT)
        alone = [small_request(server.url) for _ in range(100)]
        before = memory(server.pid)
        with other_requests(server.url) as beside:
            for data in chain(OTHER_TYPES, islice(bombs(), 9), islice(damaged(seed=4), 480)):
                answer = post(server.url, asked(data), COUNT)
                outcomes[answer.status] += 1
                assert answer.status == HTTPStatus.OK or "capability_rejected: image_block" in answer.error[1]
        assert set(outcomes) == {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}, outcomes
        assert sum(outcomes.values()) == 500
        assert memory(server.pid) - before < MOST_GROWTH
        assert usual_worst(beside) < max(SLOW_S, 2 * usual_worst(alone))
