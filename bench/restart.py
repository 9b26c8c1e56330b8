"""The next turn of a conversation of 4,000 tokens after a restart of the server, compared with the one before it."""

import json
import tempfile
from statistics import median
from typing import Any, NamedTuple

from bench.client import connect, post
from bench.processes import children, cpu_seconds, dragoman, nonce
from bench.report import Row

WORDS = 4000
_NEXT = "What did the miller say?"
Turns = list[dict[str, Any]]


class Asked(NamedTuple):
    """A turn: seconds to the first token, CPU seconds of the server and its engine, tokens of the prompt, and of it cached."""

    took: float
    cpu: float
    prompt: int
    cached: int


async def measure(runs: int) -> list[Row]:
    """Run each conversation on a server and on the next one; times are medians, the reuse is the least."""
    fresh, warm, restored = zip(*[await _conversation() for _ in range(runs)], strict=True)
    reuse = min(after.cached / before.prompt for before, after in zip(warm, restored, strict=True))
    return [
        Row(
            "the first turn of a conversation, to the first token",
            f"{median(turn.took for turn in fresh) * 1000:.0f}",
            "",
            "ms",
            "",
        ),
        _compared(
            "the next turn after a restart, to the first token", [turn.took for turn in restored], [turn.took for turn in warm]
        ),
        _compared("the same, CPU time", [turn.cpu for turn in restored], [turn.cpu for turn in warm]),
        Row("reuse of the prompt before the restart", f"{reuse * 100:.1f}", "", "%", ">= 95"),
    ]


def _compared(what: str, after: list[float], before: list[float]) -> Row:
    """Medians after a restart and in the turn before it."""
    ratio = median(after) / median(before)
    other = f"{median(before) * 1000:.0f} (the turn before the restart)"
    return Row(what, f"{median(after) * 1000:.0f}", other, "ms", "<= 1.5", compared=ratio)


async def _conversation() -> tuple[Asked, Asked, Asked]:
    """A first turn, a second one, and a third after a restart."""
    turns: Turns = [{"role": "user", "content": f"{nonce()} " + "the old stone mill by the river " * (WORDS // 7)}]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--parallel", "1", "--cache-dir", folder]
        with dragoman(*options) as server:
            fresh, warm = await _ask(*server, turns), await _ask(*server, turns)
        with dragoman(*options) as server:
            return fresh, warm, await _ask(*server, turns)


async def _ask(url: str, pid: int, turns: Turns) -> Asked:
    """Ask for one token. The turns then have the next one, too."""
    body = {"model": "claude-bench", "max_tokens": 1, "temperature": 0, "messages": turns}
    processes = [pid, *children(pid)]
    before = sum(map(cpu_seconds, processes))
    async with connect(url) as session:
        took, answer = await post(session, "/v1/messages", json.dumps(body).encode())
    cpu = sum(map(cpu_seconds, processes)) - before
    usage = answer["usage"]
    turns += [{"role": "assistant", "content": "He spoke."}, {"role": "user", "content": _NEXT}]
    cached = usage.get("cache_read_input_tokens") or 0
    return Asked(took, cpu, usage["input_tokens"] + cached, cached)
