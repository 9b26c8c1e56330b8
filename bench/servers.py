"""Compares Dragoman over LMDeploy and SGLang with their own `/v1/messages`, over the same scripted engine, without a GPU.

The engine below the real servers is the one of the tests (`tests/engines/real_servers/`): all streams advance by a token every
10 ms, so that the servers that answer the client are compared. Dragoman uses another endpoint of the same server, which has a
cost too: separate rows have the CPU time of both together.
"""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import descendants, dragoman
from bench.report import Row
from bench.rivals import Figure, Figures, Side, contest, first_token, greetings, load

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

if TYPE_CHECKING:
    from engines.real_servers.upstream import RealServer

PACE, TOKENS = 0.01, 256
SURFACE, BOTH = "CPU of the surface per 1,000 tokens", "CPU of the gateway and of the engine's server"


async def lmdeploy(runs: int) -> list[Row]:
    """Measure over LMDeploy, both sides in turns."""
    from engines.real_servers.upstream import RealLMDeploy  # noqa: PLC0415 -- installs only what is measured

    return await _measure(runs, RealLMDeploy, "lmdeploy", "LMDeploy's own")


async def sglang(runs: int) -> list[Row]:
    """Measure over SGLang, both sides in turns."""
    from engines.real_servers.upstream import RealSGLang  # noqa: PLC0415 -- installs only what is measured

    return await _measure(runs, RealSGLang, "sglang", "SGLang's own")


async def _measure(runs: int, kind: "type[RealServer]", engine: str, rival: str) -> list[Row]:
    from engines.folders import model_folder  # noqa: PLC0415 -- of the tests, as above

    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(Path(scratch) / "model")
        server = kind(folder, "claude-bench")
        try:
            server.start_upstream()
            with dragoman("--engine", engine, "--engine-url", server.url, "--tokenizer", str(folder)) as (url, gateway):
                server.repeats(b" the", PACE)
                launcher, scripted = server.processes
                rivals = [pid for pid in descendants(launcher) if pid not in scripted]
                ours = Side(url, {SURFACE: [gateway], BOTH: [gateway, *rivals]})
                theirs = Side(server.url, {SURFACE: rivals, BOTH: rivals})
                taken = await contest(ours, theirs, _quick, _slow, runs)
        finally:
            server.close()
    return [figure.row(taken, rival) for figure in _FIGURES]


async def _quick(side: Side) -> Figures:
    return {"first token": await first_token(side.url, *greetings()), **await load(side, 1, TOKENS)}


async def _slow(side: Side) -> Figures:
    return {**await load(side, 8, TOKENS), **await load(side, 32, TOKENS)}


_FIGURES = (
    Figure("decode, 1 stream", "tok/s", scale=1),
    Figure("decode, 8 streams", "tok/s", scale=1),
    Figure("decode, 32 streams", "tok/s", scale=1),
    Figure("first token", "ms", difference=True),
    Figure(f"{SURFACE}, 1 stream", "ms"),
    Figure(f"{SURFACE}, 8 streams", "ms"),
    Figure(f"{SURFACE}, 32 streams", "ms", "<= 0.5"),
    Figure(f"{BOTH}, 1 stream", "ms"),
    Figure(f"{BOTH}, 32 streams", "ms"),
)
