"""Compares Dragoman with LiteLLM's proxy, both over the same llama-server.

Dragoman uses its completion endpoint, the proxy its chat endpoint. The proxy is installed by `uvx` in its own environment; it
checks no key, requests no prices and logs nothing, so that only its translation is measured.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from bench.client import deltas_per_second
from bench.processes import (
    ALL_CORES,
    KEY,
    OTHER_CORES,
    SERVER_CORE,
    children,
    dragoman,
    fake_upstream,
    listening,
    llama_server,
)
from bench.report import Row
from bench.rivals import Figure, Figures, Side, contest, first_token, greetings, load

PACKAGE, RIVAL = "litellm[proxy]==1.106.0", "LiteLLM"
SLOTS, CONTEXT, TOKENS = 8, 2048, 64
STREAMS, CHUNKS = 32, 250
SURFACE = "CPU of the surface per 1,000 tokens"
_SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_LOG": "ERROR",
}


def _command(config: str, port: int) -> list[str]:
    program = ["uvx", "--quiet", "--python", "3.11", "--from", PACKAGE, "litellm"]
    return [*program, "--config", config, "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def _proxy(engine: str, cores: frozenset[int] = ALL_CORES) -> Iterator[tuple[str, int]]:
    """The proxy over an engine's chat endpoint: its URL and its process id."""
    upstream = {"model": "openai/upstream", "api_base": f"{engine}/v1", "api_key": KEY}
    config = {
        "model_list": [{"model_name": "claude-bench", "litellm_params": upstream}],
        "litellm_settings": {"use_chat_completions_url_for_anthropic_messages": True},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(config, file)  # JSON is also YAML
        file.flush()
        with listening(partial(_command, file.name), "/health/liveliness", cores=cores, **_SETTINGS) as (url, uvx):
            (server,) = children(uvx)
            yield url, server


async def measure(runs: int) -> list[Row]:
    """Measure every figure `runs` times: both sides in turns over the real engine, then over one that never waits."""
    if shutil.which("uvx") is None:
        print("uvx is needed to run LiteLLM", file=sys.stderr)
        return []
    with (
        llama_server(SLOTS, CONTEXT, "127.0.0.1") as engine,
        dragoman("--engine", "llama-server", "--engine-url", engine, "--engine-key", KEY) as (url, gateway),
        _proxy(engine) as (rival, proxy),
    ):
        taken = await contest(Side(url, {SURFACE: [gateway]}), Side(rival, {SURFACE: [proxy]}), _quick, _slow, runs)
    return [*(figure.row(taken, RIVAL) for figure in _FIGURES), await _endless(runs)]


async def _quick(side: Side) -> Figures:
    return {"first token, short prompt": await first_token(side.url, *greetings()), **await load(side, 1, TOKENS)}


async def _slow(side: Side) -> Figures:
    return await load(side, 8, TOKENS)


async def _endless(runs: int) -> Row:
    os.sched_setaffinity(0, OTHER_CORES)
    with fake_upstream(CHUNKS, OTHER_CORES) as upstream:
        with dragoman("--engine", "llama-server", "--engine-url", upstream, cores=SERVER_CORE) as (url, _):
            ours = median([await deltas_per_second(url, STREAMS) for _ in range(runs)])
        with _proxy(upstream, SERVER_CORE) as (url, _):
            theirs = median([await deltas_per_second(url, STREAMS) for _ in range(runs)])
    os.sched_setaffinity(0, ALL_CORES)
    name = f"upstream that never waits, {STREAMS} streams, one core"
    return Row(name, f"{ours:,.0f}", f"{theirs:,.0f}", "deltas/s", ">= 5", ours / theirs, rival=RIVAL)


_FIGURES = (
    Figure("decode, 1 stream", "tok/s", scale=1),
    Figure("decode, 8 streams", "tok/s", scale=1),
    Figure("first token, short prompt", "ms", difference=True),
    Figure(f"{SURFACE}, 1 stream", "ms", "<= 0.2"),
    Figure(f"{SURFACE}, 8 streams", "ms", "<= 0.2"),
)
