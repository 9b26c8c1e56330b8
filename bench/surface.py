"""Compares Dragoman's `/v1/messages` with llama.cpp's own, over the same engine process."""

from dataclasses import replace
from statistics import mean

from bench.processes import KEY, dragoman, llama_server, relay
from bench.report import Row
from bench.rivals import Figure, Figures, Side, contest, first_token, greetings, load, long_prompt

SLOTS, CONTEXT = 8, 8192
DECODE_TOKENS = 128
LONG_WORDS = 3300  # about 4,000 tokens of the default model's


async def measure(runs: int) -> list[Row]:
    """Measure every figure `runs` times, both sides in turns."""
    with (
        llama_server(SLOTS, CONTEXT) as engine,
        dragoman("--engine", "llama-server", "--engine-url", engine, "--engine-key", KEY) as (url, _),
        relay(engine) as relayed,
    ):
        taken = await contest(Side(url), Side(engine), _quick, _long, runs)
        passed_on = await contest(Side(relayed), Side(engine), _alone, None, runs)
    rows = [figure.row(taken, _RIVAL) for figure in _FIGURES]
    least = replace(_FIGURES[0].row(passed_on, _RIVAL), figure="the same, a relay of bytes in place of Dragoman", target="")
    return [rows[0], least, *rows[1:]]


async def _quick(side: Side) -> Figures:
    return {
        "first token, short prompt": await first_token(side.url, *greetings()),
        **await _alone(side),
        **await load(side, 8, DECODE_TOKENS),
    }


async def _alone(side: Side) -> Figures:
    alone = [await load(side, 1, DECODE_TOKENS) for _ in range(2)]  # one alone is too short
    return {name: mean(figures[name] for figures in alone) for name in alone[0]}


async def _long(side: Side) -> Figures:
    text = long_prompt(LONG_WORDS)
    return {
        "first token, 4,000 tokens, fresh": await first_token(side.url, text),
        "first token, 4,000 tokens, cached": await first_token(side.url, text, text, text),
    }


_RIVAL = "llama.cpp's own"
_FIGURES = (
    Figure("decode, 1 stream", "tok/s", ">= 0.98", scale=1),
    Figure("decode, 8 streams", "tok/s", ">= 0.98", scale=1),
    Figure("first token, short prompt", "ms", "<= +4 ms", difference=True),
    Figure("first token, 4,000 tokens, fresh", "ms", "<= 1.05"),
    Figure("first token, 4,000 tokens, cached", "ms", "<= +20 ms", difference=True),
)
