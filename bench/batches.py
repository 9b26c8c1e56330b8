"""A batch whose requests share beginnings: worked off in our order, compared with requests in the order they were given in.

In the given order the beginnings take turns. Both are the same requests to the same engine with as many slots; in the given
order clients send them side by side. What an order saves depends on how many beginnings the engine keeps: llama.cpp keeps a
copy of a prompt that has left its slot, as long as these copies have room. So it is measured twice, with more beginnings than
are kept and with fewer. All would be kept of the small model: so the server has other models besides, which are never used, but
have their share of the memory for copies.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from bench.client import connect, post
from bench.processes import children, cpu_seconds, dragoman, nonce
from bench.report import Row
from dragoman.engines.llama.child import prompt_cache_mib
from dragoman.models.resolve import resolve

REQUESTS: Final = int(os.environ.get("BENCH_BATCH_REQUESTS", "200"))
WORDS: Final = int(os.environ.get("BENCH_BATCH_WORDS", "1540"))
"""Words of a beginning: 1,540 are about 2,000 tokens."""
BEGINNINGS: Final = int(os.environ.get("BENCH_BATCH_BEGINNINGS", "40"))
SLOTS: Final = 8
_WINDOW: Final = 4096
_HEADERS: Final = {"anthropic-version": "2023-06-01"}
_PATH: Final = "/v1/messages/batches"


_TOKENS_OF_WORD: Final = 1.3
_TOKEN_BYTES: Final = 23_040
"""What a token takes in the KV cache of the default model."""


class Condition(NamedTuple):
    """The number of beginnings, and whether the engine has room for all of them."""

    beginnings: int
    kept: bool
    target: str

    @property
    def models(self) -> int:
        """The number of models that share the memory for copies of prompts; half of the beginnings have room, or all."""
        half = self.beginnings / 2 * WORDS * _TOKENS_OF_WORD * _TOKEN_BYTES
        return 1 if self.kept else max(1, round(prompt_cache_mib(1) * 2**20 / half))


CONDITIONS: Final = (
    Condition(BEGINNINGS, kept=False, target=">= 3"),
    Condition(BEGINNINGS // 2, kept=True, target=""),
)


class Spent(NamedTuple):
    """The seconds that all requests took, the CPU seconds of the server and its engine, and the computed tokens of prompts."""

    took: float
    cpu: float
    computed: int


async def measure(runs: int) -> list[Row]:
    """Measure each condition once, whatever the number of runs: the given order takes minutes."""
    del runs
    return [row for condition in CONDITIONS for row in await _rows(condition)]


async def _rows(condition: Condition) -> list[Row]:
    given, ours = await _measured(_in_given_order, condition), await _measured(_in_batch, condition)
    room = "room for the copies of all" if condition.kept else "room for the copies of half of them"
    what = f"{REQUESTS} requests, {condition.beginnings} beginnings of {WORDS:,} words in turn, {room}, {SLOTS} slots"
    return [
        _compared(what, given.took, ours.took, "s", condition.target),
        _compared("the same, CPU time", given.cpu, ours.cpu, "s", ""),
        _compared("the same, computed tokens of the prompts", given.computed, ours.computed, "tokens", ""),
    ]


def _compared(what: str, given: float, ours: float, unit: str, target: str) -> Row:
    ratio = given / ours
    missed = f"{ratio:.2f} times, not 3" if target and ratio < 3 else ""
    return Row(what, f"{ours:,.0f}", f"{given:,.0f} (in the given order)", unit, target, compared=ratio, missed=missed)


async def _measured(work: Callable[..., Any], condition: Condition) -> Spent:
    """Run the requests on a server of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dragoman("--models", _models_file(folder, condition.models), "--batch-slots", str(SLOTS), "--data-dir", folder) as (
            url,
            pid,
        ),
    ):
        async with connect(url) as session:
            began, processes = time.monotonic(), [pid, *children(pid)]
            before = sum(map(cpu_seconds, processes))
            answers = await work(session, _requests(condition.beginnings))
            usage = [answer["usage"] for answer in answers]
            assert len(usage) == REQUESTS
            cpu = sum(map(cpu_seconds, processes)) - before
            return Spent(time.monotonic() - began, cpu, sum(each["input_tokens"] for each in usage))


def _models_file(folder: str, count: int) -> str:
    """Write a file of models, all of which are the default model, and return its path."""
    path, source = Path(folder, "models.toml"), resolve(None).path
    fields = f'source = "{source}"\nwindow = {_WINDOW}\nparallel = {SLOTS}\n'
    path.write_text("\n".join(f"[model{number}]\n{fields}" for number in range(count)), encoding="utf-8")
    return str(path)


def _requests(count: int) -> list[dict[str, Any]]:
    """Return the requests in the given order, in which the beginnings take turns."""
    beginnings = [f"{nonce()} " + "the old stone mill by the river " * (WORDS // 7) for _ in range(count)]
    return [
        {
            "model": "model0",
            "max_tokens": 8,
            "temperature": 0,
            "system": beginnings[number % count],
            "messages": [{"role": "user", "content": f"Question {number}: how many millers are there?"}],
        }
        for number in range(REQUESTS)
    ]


async def _in_given_order(session: aiohttp.ClientSession, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send the requests in their order, as many at once as there are slots."""
    left = iter(requests)

    async def client() -> list[dict[str, Any]]:
        return [(await post(session, "/v1/messages", json.dumps(request).encode()))[1] for request in left]

    return [answer for answers in await asyncio.gather(*(client() for _ in range(SLOTS))) for answer in answers]


async def _in_batch(session: aiohttp.ClientSession, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send the requests as a batch, and wait for its end."""
    items = [{"custom_id": f"r{number}", "params": request} for number, request in enumerate(requests)]
    _, batch = await post(session, _PATH, json.dumps({"requests": items}).encode())
    while batch["processing_status"] != "ended":
        await asyncio.sleep(0.25)
        async with session.get(f"{_PATH}/{batch['id']}", headers=_HEADERS) as response:
            batch = await response.json()
    async with session.get(batch["results_url"], headers=_HEADERS) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    return [line["result"]["message"] for line in lines]
