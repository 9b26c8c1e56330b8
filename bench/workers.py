"""Several workers on one port, over an upstream that never waits.

Each worker needs a core, and the client and the upstream need two more. With fewer cores the workers share them; then the cost
of a delta and the distribution of the work are measured, and the ratio is computed: with enough cores, all workers together are
as fast as the busiest one allows. The table says if it is computed.
"""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from statistics import median

import aiohttp

from bench.client import asking, connect, deltas_per_second, stream
from bench.processes import ALL_CORES, OTHER_CORES, SERVER_CORE, children, cpu_seconds, dragoman, fake_upstream
from bench.report import Row

WORKERS, STREAMS, CHUNKS = 4, 128, 1000
CLIENTS = 16
_KILLING = 10.0
"""Seconds for which clients send requests, in the middle of which a worker is killed."""
DELTAS = STREAMS * CHUNKS
_BESIDE = 2
"""Cores for the client and for the upstream."""


@dataclass(frozen=True, slots=True)
class _Load:
    """The result of one load: deltas per second, and the CPU seconds of each worker."""

    rate: float
    spent: list[float]


async def measure(runs: int) -> list[Row]:
    """Measure every figure; values are medians of `runs`."""
    enough = len(ALL_CORES) >= WORKERS + _BESIDE
    beside = frozenset(sorted(ALL_CORES)[-_BESIDE:]) if enough else OTHER_CORES
    gateways = ALL_CORES - beside if enough else SERVER_CORE
    os.sched_setaffinity(0, beside)
    with fake_upstream(CHUNKS, beside) as upstream:
        one, several = [await _loads(upstream, count, gateways, runs) for count in (1, WORKERS)]
        killed = await _one_killed(upstream)
    os.sched_setaffinity(0, ALL_CORES)
    costs = [median([sum(run.spent) for run in runs_]) / DELTAS * 1e6 for runs_ in (one, several)]
    busiest = median([max(run.spent) for run in several]) / DELTAS * 1e6
    rows = [
        killed,
        Row("CPU of the gateway per 1,000 deltas", f"{costs[0]:.1f}", "", "ms", ""),
        Row(f"CPU of {WORKERS} workers together per 1,000 deltas", f"{costs[1]:.1f}", "", "ms", ""),
        Row(f"CPU of the busiest of {WORKERS} workers per 1,000 deltas", f"{busiest:.1f}", "", "ms", ""),
    ]
    name = f"{WORKERS} workers over one"
    if enough:
        rates = [median([run.rate for run in runs_]) for runs_ in (one, several)]
        return [*rows, Row(name, f"{rates[1]:,.0f}", f"{rates[0]:,.0f} (one)", "deltas/s", ">= 3", rates[1] / rates[0])]
    why = f"computed from CPU time: {len(ALL_CORES)} cores, and {WORKERS + _BESIDE} are needed"
    return [*rows, Row(f"{name}, {why}", "", "", "", ">= 3", costs[0] / busiest)]


async def _loads(upstream: str, count: int, cores: frozenset[int], runs: int) -> list[_Load]:
    found = []
    with dragoman("--engine", "llama-server", "--engine-url", upstream, "--workers", str(count), cores=cores) as (url, pid):
        workers = children(pid) if count > 1 else [pid]
        await deltas_per_second(url, STREAMS)  # waits for workers that are still loading
        for _ in range(runs):
            before = [cpu_seconds(worker) for worker in workers]
            rate = await deltas_per_second(url, STREAMS)
            after = [cpu_seconds(worker) for worker in workers]
            found.append(_Load(rate, [b - a for a, b in zip(before, after, strict=True)]))
    return found


async def _one_killed(upstream: str) -> Row:
    """Kill a worker while clients send one request after the other, each on a connection of its own."""
    sent = failed = 0
    with dragoman("--engine", "llama-server", "--engine-url", upstream, "--workers", str(WORKERS)) as (url, pid):

        async def client(until: float) -> None:
            nonlocal sent, failed
            while time.monotonic() < until:
                sent += 1
                try:
                    async with connect(url) as session:
                        await stream(session, asking("Go.", 50_000))
                except (aiohttp.ClientError, RuntimeError, ValueError):  # an error, or a stream without its end
                    failed += 1

        clients = asyncio.gather(*(client(time.monotonic() + _KILLING) for _ in range(CLIENTS)))
        await asyncio.sleep(_KILLING / 2)
        os.kill(children(pid)[0], signal.SIGKILL)
        await clients
    most = CLIENTS // WORKERS
    return Row(
        f"failed requests when a worker is killed, which had up to {most} of {CLIENTS} clients",
        f"{failed} of {sent:,}",
        "",
        "",
        f"<= {most}",
        missed="" if failed <= most else f"{failed} failed",
    )
