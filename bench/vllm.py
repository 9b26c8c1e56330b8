"""Compares Dragoman over vLLM with vLLM's own `/v1/messages`, over the same engine.

The servers that answer the client are compared. vLLM's is its API server, a process that reads, renders, tokenizes and streams;
it cannot run without an engine, so that there is no figure with an engine that never waits. Dragoman uses another endpoint of
that server, which has a cost too: separate rows have the CPU time of the gateway and the API server together.
"""

import shutil
import sys
from functools import partial

from bench.processes import dragoman, listening
from bench.report import Row
from bench.rivals import Figure, Figures, Side, contest, first_token, greetings, load, long_prompt

PROGRAM, MODEL = "vllm", "HuggingFaceTB/SmolLM2-135M-Instruct"
CONTEXT, SLOTS, TOKENS = 2048, 32, 48
LONG_WORDS = 1200  # about 1,500 tokens of that model's
SURFACE = "CPU of the surface per 1,000 tokens"
BOTH = "CPU of the gateway and of vLLM's API server"


def _command(program: str, model: str, port: int) -> list[str]:
    size = ["--enforce-eager", "--max-model-len", str(CONTEXT), "--max-num-seqs", str(SLOTS)]
    named = ["--served-model-name", "claude-bench", "--enable-prompt-tokens-details"]
    return [program, "serve", model, "--host", "127.0.0.1", "--port", str(port), *named, *size]


async def measure(runs: int, program: str = PROGRAM, model: str = MODEL) -> list[Row]:
    """Measure every figure `runs` times, both sides in turns; nothing if vLLM is not installed."""
    if shutil.which(program) is None:
        print(f"{program} is not installed: give --vllm PROGRAM", file=sys.stderr)
        return []
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    with (
        listening(partial(_command, program, model), "/health", **settings) as (engine, api_server),
        dragoman("--engine", "vllm", "--engine-url", engine) as (url, gateway),
    ):
        ours = Side(url, {SURFACE: [gateway], BOTH: [gateway, api_server]})
        theirs = Side(engine, {SURFACE: [api_server], BOTH: [api_server]})
        taken = await contest(ours, theirs, _quick, _slow, runs)
    return [figure.row(taken, "vLLM's own") for figure in _FIGURES]


async def _quick(side: Side) -> Figures:
    text = long_prompt(LONG_WORDS)
    await first_token(side.url, text)
    return {
        "first token, short prompt": await first_token(side.url, *greetings()),
        "first token, 1,500 tokens, cached": await first_token(side.url, text, text, text),
        **await load(side, 1, TOKENS),
    }


async def _slow(side: Side) -> Figures:
    return {**await load(side, 8, TOKENS), **await load(side, 32, TOKENS)}


_FIGURES = (
    Figure("decode, 1 stream", "tok/s", ">= 0.98", scale=1),
    Figure("decode, 8 streams", "tok/s", ">= 0.98", scale=1),
    Figure("decode, 32 streams", "tok/s", ">= 0.98", scale=1),
    Figure("first token, short prompt", "ms", difference=True),
    Figure("first token, 1,500 tokens, cached", "ms", difference=True),
    Figure(f"{SURFACE}, 1 stream", "ms", "<= 0.5"),
    Figure(f"{SURFACE}, 8 streams", "ms", "<= 0.5"),
    Figure(f"{SURFACE}, 32 streams", "ms", "<= 0.5"),
    Figure(f"{BOTH}, 1 stream", "ms"),
    Figure(f"{BOTH}, 32 streams", "ms"),
)
