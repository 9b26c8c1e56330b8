"""Two real models that do not fit together: tiny random ones, which give other answers, run by llama.cpp."""

import gc
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import psutil
import pytest

from conftest import body, live_registry, user
from dragoman.engines import Engine
from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve
from dragoman.server import ModelEntry, ModelRegistry, Settings
from server.http import get, post
from vision_model import model_with_beginning, vision_model

ONE, OTHER = "one", "other"
SLOTS = 8
_LOG = logging.getLogger(__name__)
QUESTION = user("What is the height of the tower of Ulm?")
STORY = " ".join(f"In year {year} the tower of Ulm was {year % 7} feet taller." for year in range(1400, 1440))


def entry(name: str, model: Path, cache: Path | None = None) -> ModelEntry:
    def build() -> Engine:
        disk = DiskSettings(cache, 1 << 30) if cache else None
        return EmbeddedLlama(model, name=name, context=2048, parallel=SLOTS, threads=1, disk=disk)

    return ModelEntry(name, build, memory=1)


@contextmanager
def serving(one: Path, other: Path, cache: Path | None = None) -> Iterator[str]:
    """Serve two models of which one at a time is loaded."""
    registry = ModelRegistry([entry(ONE, one, cache), entry(OTHER, other, cache)], Settings(), memory=1)
    with live_registry(registry) as url:
        yield url


def said(url: str, model: str, *messages: Any, **fields: Any) -> dict[str, Any]:
    """The answer of a model, and its usage."""
    answer = post(url, body(*messages, model=model, temperature=0, **{"max_tokens": 6, **fields}))
    assert answer.status == 200, answer.content
    message: dict[str, Any] = answer.json
    return message


def loads(url: str) -> dict[str, int]:
    """How often each model was loaded."""
    lines = get(url, "/metrics").content.decode().splitlines()
    return {
        name: round(float(line.split()[1]))
        for name in (ONE, OTHER)
        for line in lines
        if line.startswith(f'dragoman_model_loads_total{{model="{name}"}}')
    }


@pytest.mark.slow
def test_a_conversation_is_saved_before_its_model_is_unloaded_and_restored_after_it_is_loaded_again(tmp_path: Path) -> None:
    with serving(vision_model(), model_with_beginning(), tmp_path) as url:
        first = said(url, ONE, user(STORY))
        answer = {"role": "assistant", "content": first["content"]}
        said(url, OTHER)
        assert list(tmp_path.glob("*/*.state"))
        usage = said(url, ONE, user(STORY), answer, user("And then?"))["usage"]
        read = first["usage"]["input_tokens"] + first["usage"]["cache_creation_input_tokens"]
        assert usage["cache_read_input_tokens"] >= 0.95 * read > 500
        assert loads(url) == {ONE: 2, OTHER: 1}


def in_turn(url: str, models: tuple[str, str], swaps: int, clients: int) -> list[tuple[str, dict[str, Any]]]:
    """What clients get that ask the models in turn, until the models were loaded `swaps` times more."""
    last = sum(loads(url).values()) + swaps
    start = Barrier(clients)

    def client(number: int) -> list[tuple[str, dict[str, Any]]]:
        start.wait()
        answers = []
        while sum(loads(url).values()) < last:
            number += 1
            answers.append((models[number % 2], said(url, models[number % 2], QUESTION)))
        return answers

    with ThreadPoolExecutor(clients) as threads:
        return [answer for answers in threads.map(client, range(clients)) for answer in answers]


def check_answers(url: str, answers: list[tuple[str, dict[str, Any]]]) -> None:
    """Check that every answer is that of the model that was named, which both give again when they are asked alone."""
    alone = {name: said(url, name, QUESTION)["content"] for name in (ONE, OTHER)}
    assert alone[ONE] != alone[OTHER]
    assert [(name, answer["content"]) for name, answer in answers if answer["content"] != alone[name]] == []


class Resources:
    """What this process and its children take."""

    def __init__(self) -> None:
        gc.collect()
        self._process = psutil.Process()
        self.bytes = self._process.memory_info().rss
        self.files = self._process.num_fds()
        self.children = len(self._process.children(recursive=True))

    def __repr__(self) -> str:
        return f"{self.bytes / 2**20:.0f} MiB, {self.files} files, {self.children} children"


@pytest.mark.slow
@pytest.mark.timeout(400)  # most of it is the start of 30 processes
def test_thirty_swaps_under_load_lose_no_request_and_no_memory() -> None:
    with serving(vision_model(), model_with_beginning()) as url:
        answers = in_turn(url, (ONE, OTHER), 4, clients=8)
        before = Resources()
        answers += in_turn(url, (ONE, OTHER), 26, clients=8)
        after = Resources()
        check_answers(url, answers)
    _LOG.info("%d answers; %s after 4 swaps, %s after 30", len(answers), before, after)
    assert len(answers) >= 8 * 15
    assert after.bytes - before.bytes < 16 * 2**20
    assert (after.files, after.children) <= (before.files + 4, before.children)


@pytest.mark.slow
def test_the_default_model_and_a_tiny_one_take_turns() -> None:
    with serving(resolve(None).path, vision_model()) as url:
        answers = in_turn(url, (ONE, OTHER), 4, clients=2)
        check_answers(url, answers)
        assert {name for name, _ in answers} == {ONE, OTHER}
