"""The next turn of a conversation of 4,000 tokens after a restart of the server, compared with the one before it."""

import json
import tempfile
from statistics import median
from typing import Any

from bench.client import connect, post
from bench.processes import dragoman, nonce
from bench.report import Row

WORDS = 4000
_NEXT = "What did the miller say?"
Turns = list[dict[str, Any]]


async def measure(runs: int) -> list[Row]:
    """Run each conversation on a server and on the next one; times are medians, the reuse is the least."""
    taken = [await _conversation() for _ in range(runs)]
    fresh, warm, restored, reuse = zip(*taken, strict=True)
    return [
        Row("the first turn of a conversation, to the first token", f"{median(fresh) * 1000:.0f}", "", "ms", ""),
        Row(
            "the next turn after a restart, to the first token",
            f"{median(restored) * 1000:.0f}",
            f"{median(warm) * 1000:.0f} (the turn before the restart)",
            "ms",
            "<= 1.5",
            compared=median(restored) / median(warm),
        ),
        Row("reuse of the prompt before the restart", f"{min(reuse) * 100:.1f}", "", "%", ">= 95"),
    ]


async def _conversation() -> tuple[float, float, float, float]:
    """Seconds to the first token of a first turn, of a second one, and of a third after a restart; the reuse of the third."""
    turns: Turns = [{"role": "user", "content": f"{nonce()} " + "the old stone mill by the river " * (WORDS // 7)}]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--parallel", "1", "--cache-dir", folder]
        with dragoman(*options) as (url, _):
            fresh, _, _ = await _ask(url, turns)
            warm, before, _ = await _ask(url, turns)
        with dragoman(*options) as (url, _):
            restored, _, cached = await _ask(url, turns)
    return fresh, warm, restored, cached / before


async def _ask(url: str, turns: Turns) -> tuple[float, int, int]:
    """Seconds to the first token, the number of prompt tokens and of cached ones. The turns then have the next one, too."""
    body = {"model": "claude-bench", "max_tokens": 1, "temperature": 0, "messages": turns}
    async with connect(url) as session:
        took, answer = await post(session, "/v1/messages", json.dumps(body).encode())
    usage = answer["usage"]
    turns += [{"role": "assistant", "content": "He spoke."}, {"role": "user", "content": _NEXT}]
    cached = usage.get("cache_read_input_tokens") or 0
    return took, usage["input_tokens"] + cached, cached
