"""A soak: mixed clients for a long time, and what the gateway then holds: `uv run python -m bench.soak [MINUTES]`.

Eight clients send streams, counts, requests with new tools, growing conversations, large requests and wrong ones, and break
some streams off. After each round all of them pause, and the gateway's memory, file descriptors and tasks are read. They should
be the same at the end as after a tenth of the time, when every cache is in use.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import aiohttp

from bench.client import asking, connect, stream
from bench.counted import ask_for_tasks
from bench.processes import ALL_CORES, dragoman, fake_upstream, nonce, open_files, resident_megabytes
from bench.report import Row, table

CLIENTS: Final = 8
ROUND: Final = 20.0
"""Seconds between two samples."""
_PAUSE: Final = 0.1
"""Mean seconds between two requests of a client."""
_CHUNKS: Final = 200
_QUIET: Final = 2.0
"""Seconds without requests before a sample."""
_OVERLOADED: Final = 529
_GROWTH: Final = 1.05
"""How much the memory may grow."""

Session = aiohttp.ClientSession
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the gateway holds: resident memory, file descriptors, asyncio tasks."""

    megabytes: float
    files: int
    tasks: int


async def _stream(session: Session) -> None:
    answer = await stream(session, asking(f"{nonce()} Go on.", 50_000))
    assert answer.deltas == _CHUNKS, answer


async def _cancel(session: Session) -> None:
    async with session.post("/v1/messages", json={**asking(nonce(), 50_000), "stream": True}) as response:
        await response.content.readany()
        response.close()


async def _count(session: Session) -> None:
    await _expect(session, "/v1/messages/count_tokens", {**asking(nonce() * 50, 1)}, 200)


async def _tools(session: Session) -> None:
    schema = {"type": "object", "properties": {nonce(): {"type": "string"}, "n": {"type": "integer"}}, "required": ["n"]}
    tools = [{"name": f"tool_{n}", "description": nonce(), "input_schema": schema} for n in range(20)]
    await _expect(session, "/v1/messages", {**asking("Go.", 500), "tools": tools}, 200)


async def _conversation(session: Session) -> None:
    messages: list[Json] = []
    for turn in range(6):
        messages.append({"role": "user", "content": f"{nonce()} turn {turn}"})
        await _expect(session, "/v1/messages", {**asking("", 500), "messages": messages}, 200)
        messages.append({"role": "assistant", "content": f"Answer {turn}."})


async def _large(session: Session) -> None:
    await _expect(session, "/v1/messages/count_tokens", asking(f"{nonce()} " * 40_000, 1), 200)


async def _chat(session: Session) -> None:
    await _expect(session, "/v1/chat/completions", {"model": "x", "messages": [{"role": "user", "content": nonce()}]}, 200)


async def _wrong(session: Session) -> None:
    await _expect(session, "/v1/messages", {**asking(nonce(), 5), "temperature": "warm"}, 400)
    await _expect(session, f"/v1/{nonce()}", {}, 404)


KINDS: Final[dict[Callable[[Session], Awaitable[None]], int]] = {
    _stream: 6,
    _cancel: 4,
    _count: 4,
    _tools: 3,
    _conversation: 1,
    _large: 1,
    _chat: 2,
    _wrong: 3,
}
"""The kinds of requests, and how often each is sent in relation to the others."""


async def _expect(session: Session, path: str, body: Json, status: int) -> None:
    """Send a request, again if the server was too busy for it. Raises `RuntimeError` for any other status than `status`."""
    found = _OVERLOADED
    while found == _OVERLOADED:
        async with session.post(path, json=body) as response:
            found, text = response.status, await response.text()
    if found != status:
        raise RuntimeError(f"{path}: {found} {text[:300]}")


async def _client(session: Session, until: float, sent: Counter[str]) -> None:
    while time.monotonic() < until:
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        try:
            await kind(session)
            sent[kind.__name__[1:]] += 1
        except (AssertionError, RuntimeError, aiohttp.ClientError) as error:
            sent["failed"] += 1
            print(f"{kind.__name__}: {error}", file=sys.stderr, flush=True)
        await asyncio.sleep(random.expovariate(1 / _PAUSE))


async def _round(url: str, seconds: float, sent: Counter[str]) -> None:
    async with connect(url) as session:
        until = time.monotonic() + seconds
        await asyncio.gather(*(_client(session, until, sent) for _ in range(CLIENTS)))
    await asyncio.sleep(_QUIET)


async def soak(minutes: float) -> list[Row]:
    """Run the clients for so many minutes."""
    sent: Counter[str] = Counter()
    samples: list[Sample] = []
    with (
        fake_upstream(_CHUNKS, ALL_CORES) as upstream,
        dragoman("--engine", "llama-server", "--engine-url", upstream, "--any-model", module="bench.counted") as (url, pid),
    ):
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            await _round(url, ROUND, sent)
            samples.append(Sample(resident_megabytes(pid), open_files(pid), ask_for_tasks(pid)))
            print(samples[-1], dict(sent), file=sys.stderr, flush=True)
    return _rows(samples, sent)


def _rows(samples: list[Sample], sent: Counter[str]) -> list[Row]:
    tenth = max(1, len(samples) // 10)
    early, late = samples[tenth : 2 * tenth] or samples[:1], samples[-tenth:]
    rows = [Row("requests", f"{sum(sent.values()):,}", "", ", ".join(f"{n} {kind}" for kind, n in sorted(sent.items())), "")]
    for figure, of, unit, most in (
        ("memory", lambda sample: sample.megabytes, "MB", f"<= {_GROWTH}"),
        ("file descriptors", lambda sample: sample.files, "", "<= 1"),
        ("tasks", lambda sample: sample.tasks, "", "<= 1"),
    ):
        before, after = (median(map(of, part)) for part in (early, late))
        rows.append(Row(f"{figure} at the end", f"{after:.1f}", f"{before:.1f} (after a tenth)", unit, most, after / before))
    return rows


if __name__ == "__main__":
    print(table(asyncio.run(soak(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))))
