"""Compares two servers over the same engine in turns: parallel streams, first tokens, and the servers' CPU time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from statistics import mean, median

from bench.client import Streamed, asking, connect, stream
from bench.processes import cpu_seconds, nonce
from bench.report import Row

Figures = dict[str, float]
_PROSE = "the river ran past old stone mills while seven grey birds watched a boat go by"


@dataclass(frozen=True, slots=True)
class Side:
    """A server: its address, and by figure the processes whose CPU time is counted."""

    url: str
    processes: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def spent(self) -> Figures:
        """The CPU seconds so far, by figure."""
        return {name: sum(map(cpu_seconds, processes)) for name, processes in self.processes.items()}


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table; values are multiplied by `scale` and compared as a ratio or a difference."""

    name: str
    unit: str
    target: str = ""
    scale: float = 1000
    difference: bool = False

    def row(self, taken: tuple[list[Figures], list[Figures]], rival: str) -> Row:
        """The row with the medians of both sides and of the comparison of each pair."""
        ours, theirs = ([figures[self.name] for figures in side] for side in taken)
        pairs = [a - b if self.difference else a / b for a, b in zip(ours, theirs, strict=True)]
        shown, theirs_shown = (f"{median(values) * self.scale:,.1f}" for values in (ours, theirs))
        return Row(self.name, shown, theirs_shown, self.unit, self.target, median(pairs), self.difference, rival)


async def contest(
    ours: Side,
    theirs: Side,
    quick: Callable[[Side], Awaitable[Figures]],
    slow: Callable[[Side], Awaitable[Figures]] | None,
    runs: int,
) -> tuple[list[Figures], list[Figures]]:
    """The figures of both sides in each run, after one run to warm up.

    The order has an effect: each side does the quick measurements first and second, the slow ones, if any, first in every other
    run.
    """
    sides = ours, theirs
    taken: tuple[list[Figures], list[Figures]] = [], []
    for side in sides:
        await quick(side)
    for run in range(runs):
        order = (1, 0) if run % 2 else (0, 1)
        twice: tuple[list[Figures], list[Figures]] = [], []
        for number in (*order, *reversed(order)):
            twice[number].append(await quick(sides[number]))
        for number in order:
            means = {name: mean(figures[name] for figures in twice[number]) for name in twice[number][0]}
            taken[number].append({**means, **(await slow(sides[number]) if slow else {})})
    return taken


def long_prompt(words: int) -> str:
    """A prompt of a little more than `words` words, which no cache has."""
    return " ".join([nonce(), *islice(cycle(_PROSE.split()), words), "Go on."])


async def load(side: Side, streams: int, tokens: int) -> Figures:
    """Tokens per second of parallel streams, and the CPU seconds of the side's processes per 1,000 tokens."""
    bodies = [asking(f"Write a long story about a lighthouse, a storm and number {n}.", tokens) for n in range(streams)]
    name = f"{streams} stream{'s' * (streams > 1)}"
    async with connect(side.url) as session:
        before, began = side.spent(), time.perf_counter()
        answers: list[Streamed] = await asyncio.gather(*(stream(session, body) for body in bodies))
        took, after = time.perf_counter() - began, side.spent()
    written = sum(answer.output_tokens for answer in answers)
    costs = {f"{figure}, {name}": (after[figure] - before[figure]) / written * 1000 for figure in before}
    return {f"decode, {name}": written / took, **costs}


async def first_token(url: str, *texts: str) -> float:
    """The median of the seconds until the first delta of the answers to these texts."""
    async with connect(url) as session:
        return median([(await stream(session, asking(text, 4))).first_delta for text in texts])


def greetings() -> list[str]:
    """Short prompts, which no cache has."""
    return [f"{nonce()} Hello!" for _ in range(5)]
