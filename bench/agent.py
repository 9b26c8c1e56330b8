"""An agent's session: prompt reuse from turn to turn, alone and beside other sessions, waiting times, and decoding."""

import asyncio
import json
from statistics import median
from typing import Any

import aiohttp

from bench import speculation
from bench.client import connect, post
from bench.processes import dragoman, llama_server, nonce
from bench.report import Row
from bench.session import Json, requests
from dragoman.engines.llama.child import CPU_BATCH

SLOTS, CONTEXT = 4, 8192
TURNS = 6
LONG, SHORTER = 2000, 1000
"""Words of the long prompts: one alone, and four at once."""
_HEAD_START = 0.5
"""Seconds after which the long prompts are being read."""
_NOT_TAKEN = "refused"


async def measure(runs: int) -> list[Row]:
    """Dragoman over the embedded engine, then the same binary with its own defaults; times are medians."""
    with dragoman("--context-length", str(CONTEXT), "--parallel", str(SLOTS)) as (url, _):
        ours = await _figures(url, runs)
    with llama_server(SLOTS, CONTEXT) as address:
        theirs = await _figures(address, runs)
    return [
        Row(figure, ours[figure], f"{theirs[figure]} (llama.cpp's own)", unit, target)
        for figure, (unit, target) in _FIGURES.items()
    ] + await speculation.measure(runs)


_FIGURES = {
    "least reuse of the previous prompt, one session": ("%", ">= 95"),
    "least reuse of the previous prompt, beside three sessions, titles and probes": ("%", ">= 95"),
    "prompt tokens read for all sessions": ("of those sent", ""),
    "a tiny request alone": ("ms", ""),
    "a tiny request while a long prompt is read": ("ms", ""),
    "the same, in steps of that prompt": ("steps", "<= 2"),
    "a tiny request while four prompts are read": ("ms", ""),
}


async def _figures(address: str, runs: int) -> dict[str, str]:
    async with connect(address) as session:
        try:
            reuse = [f"{await _alone(session) * 100:.1f}", *(await _beside_others(session))]
        except RuntimeError:  # the answer was an error
            reuse = [_NOT_TAKEN] * 3
        waits = [await _waits(session) for _ in range(runs)]
    alone, beside_one, steps, beside_four = (median(values) for values in zip(*waits, strict=True))
    times = [f"{alone * 1000:.0f}", f"{beside_one * 1000:.0f}", f"{steps:.1f}", f"{beside_four * 1000:.0f}"]
    return dict(zip(_FIGURES, [*reuse, *times], strict=True))


class _Session:
    """A conversation, sent turn by turn, and how much of each prompt was cached."""

    def __init__(self, bodies: list[Json]) -> None:
        self._bodies = iter(bodies)
        self._before = 0
        self.least = 1.0
        self.sent = self.read = 0

    async def send_next(self, session: aiohttp.ClientSession) -> None:
        sent, cached = await _ask(session, next(self._bodies))
        if self._before:
            self.least = min(self.least, cached / self._before)
        self._before = sent
        self.sent += sent
        self.read += sent - cached


async def _alone(session: aiohttp.ClientSession) -> float:
    bodies = requests(nonce())
    agent = _Session(bodies)
    for _ in bodies:
        await agent.send_next(session)
    return agent.least


async def _beside_others(session: aiohttp.ClientSession) -> tuple[str, str]:
    """A main session, a sub-agent with the same system prompt and tools, and two sessions with another one."""
    first, second = nonce(), nonce()
    tasks = [(first, "Mend the parser."), (first, "Look for callers."), (second, "Review."), (second, "Write a test.")]
    main, *others = agents = [_Session(requests(mark, task)) for mark, task in tasks]
    for turn in range(TURNS):
        await main.send_next(session)
        await _ask(session, _plain(f"Give this a title: story {nonce()} of a mill by the river.", 12))
        for other in others[: turn + 1]:  # they start one after the other
            await other.send_next(session)
        await _ask(session, _plain("quota", 1))
    read, sent = sum(agent.read for agent in agents), sum(agent.sent for agent in agents)
    return f"{main.least * 100:.1f}", f"{read:,} of {sent:,}"


async def _waits(session: aiohttp.ClientSession) -> tuple[float, float, float, float]:
    """Seconds of a tiny request: alone, beside a long prompt, the same in steps of that prompt, and beside four."""
    alone = await _tiny(session)
    (beside_one, took, tokens), (beside_four, _, _) = await _beside(session, LONG, 1), await _beside(session, SHORTER, SLOTS)
    return alone, beside_one, beside_one / (took / (tokens / CPU_BATCH)), beside_four


async def _beside(session: aiohttp.ClientSession, words: int, prompts: int) -> tuple[float, float, int]:
    """Seconds of a tiny request while long prompts are read, seconds to read them, and their tokens."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    bodies = [_plain(f"{nonce()} " + "the old stone mill by the river " * (words // 7), 1) for _ in range(prompts)]
    reading = asyncio.gather(*(_ask(session, body) for body in bodies))
    await asyncio.sleep(_HEAD_START)
    waited = await _tiny(session)
    tokens = sum(sent for sent, _ in await reading)
    return waited, loop.time() - began, tokens


async def _tiny(session: aiohttp.ClientSession) -> float:
    took, _ = await post(session, "/v1/messages", json.dumps(_plain(f"{nonce()} quota", 1)).encode())
    return took


async def _ask(session: aiohttp.ClientSession, body: Json) -> tuple[int, int]:
    """The number of prompt tokens, and of those that were cached."""
    _, answer = await post(session, "/v1/messages", json.dumps(body).encode())
    usage = answer["usage"]
    cached = usage.get("cache_read_input_tokens") or 0
    return usage["input_tokens"] + cached, cached


def _plain(text: str, tokens: int) -> dict[str, Any]:
    return {"model": "claude-bench", "max_tokens": tokens, "temperature": 0, "messages": [{"role": "user", "content": text}]}
