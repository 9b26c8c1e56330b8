"""Dragoman's `/v1/messages` against llama.cpp's own, over one and the same engine process."""

import asyncio
from statistics import mean, median
from typing import Any

from bench.client import Streamed, connect, stream
from bench.processes import KEY, dragoman, llama_server, nonce
from bench.report import Row

SLOTS, CONTEXT = 8, 8192
DECODE_TOKENS = 128
LONG_WORDS = 3300  # about 4,000 tokens of the default model's


def _body(text: str, tokens: int) -> dict[str, Any]:
    return {"model": "claude-bench", "max_tokens": tokens, "temperature": 0, "messages": [{"role": "user", "content": text}]}


def _long(mark: str) -> str:
    words = [
        "the",
        "river",
        "ran",
        "past",
        "old",
        "stone",
        "houses",
        "while",
        "seven",
        "grey",
        "birds",
        "watched",
        "a",
        "boat",
        "go",
        "by",
    ]
    return f"{mark} " + " ".join(words[n % len(words)] for n in range(LONG_WORDS)) + " Go on."


async def _alone(url: str) -> float:
    """Tokens per second of one stream at a time, twice, since one alone is over in a second."""
    return mean([await _throughput(url, 1) for _ in range(2)])


async def _throughput(url: str, streams: int) -> float:
    """Tokens per second of so many streams at once."""
    async with connect(url) as session:
        bodies = [
            _body(f"Write a long story about a lighthouse, a storm and number {n}.", DECODE_TOKENS) for n in range(streams)
        ]
        began = asyncio.get_running_loop().time()
        answers: list[Streamed] = await asyncio.gather(*(stream(session, body) for body in bodies))
        return sum(answer.output_tokens for answer in answers) / (asyncio.get_running_loop().time() - began)


async def _first(url: str, text: str) -> Streamed:
    async with connect(url) as session:
        return await stream(session, _body(text, 4))


async def measure(runs: int) -> list[Row]:
    """Every figure `runs` times, the two sides in turn."""
    with (
        llama_server(SLOTS, CONTEXT) as engine,
        dragoman("--engine", "llama-server", "--engine-url", engine, "--engine-key", KEY) as (
            url,
            _,
        ),
    ):
        sides = {"native": engine, "dragoman": url}
        found: dict[tuple[str, str], list[float]] = {}
        for run in range(runs + 1):  # the first warms up
            order = sorted(sides, reverse=bool(run % 2))
            taken: dict[tuple[str, str], list[float]] = {}
            for side in [*order, *reversed(order)]:  # who comes first gains or loses by it: each side does both
                for figure, value in (await _quick_figures(sides[side])).items():
                    taken.setdefault((figure, side), []).append(value)
            for side in order:
                for figure, value in (await _long_figures(sides[side])).items():
                    taken.setdefault((figure, side), []).append(value)
            for key, values in taken.items():
                found.setdefault(key, []).extend([mean(values)] if run else [])
    rows = []
    for figure, unit, target, difference in _FIGURES:
        ours, theirs = found[figure, "dragoman"], found[figure, "native"]
        pairs = [a - b if difference else a / b for a, b in zip(ours, theirs, strict=True)]
        scale = 1 if unit == "tok/s" else 1000
        rows.append(
            Row(figure, f"{median(ours) * scale:.1f}", f"{median(theirs) * scale:.1f}", unit, target, median(pairs), difference)
        )
    return rows


async def _quick_figures(address: str) -> dict[str, float]:
    first = [(await _first(address, f"{nonce()} Hello!")).first_delta for _ in range(5)]
    return {
        "decode, 1 stream": await _alone(address),
        "decode, 8 streams": await _throughput(address, 8),
        "first token, short prompt": median(first),
    }


async def _long_figures(address: str) -> dict[str, float]:
    text = _long(nonce())
    fresh = (await _first(address, text)).first_delta
    cached = median([(await _first(address, text)).first_delta for _ in range(3)])
    return {"first token, 4,000 tokens, fresh": fresh, "first token, 4,000 tokens, cached": cached}


_FIGURES = (
    ("decode, 1 stream", "tok/s", ">= 0.97", False),
    ("decode, 8 streams", "tok/s", ">= 0.97", False),
    ("first token, short prompt", "ms", "<= +8 ms", True),
    ("first token, 4,000 tokens, fresh", "ms", "<= 1.05", False),
    ("first token, 4,000 tokens, cached", "ms", "<= +20 ms", True),
)
