"""Several gateways on one port, over an upstream that never waits.

Each worker wants a core, and those who ask and answer them want two more. Where there are fewer, the workers share what there
is, and what can be seen is what a delta costs and how the work spreads: on cores of their own, all of them together would be
as fast as the busiest one lets them be. That ratio is computed, and the table says so.
"""

import os
from dataclasses import dataclass
from statistics import median

from bench.client import deltas_per_second
from bench.processes import ALL_CORES, OTHER_CORES, SERVER_CORE, children, cpu_seconds, dragoman, endless_upstream
from bench.report import Row

WORKERS, STREAMS, CHUNKS = 4, 128, 1000
DELTAS = STREAMS * CHUNKS
_BESIDE = 2
"""Cores for the client and for the upstream."""


@dataclass(frozen=True, slots=True)
class _Worked:
    """Of one load: deltas per second, CPU seconds of each worker."""

    rate: float
    spent: list[float]


async def measure(runs: int) -> list[Row]:
    """Medians of `runs`."""
    enough = len(ALL_CORES) >= WORKERS + _BESIDE
    beside = frozenset(sorted(ALL_CORES)[-_BESIDE:]) if enough else OTHER_CORES
    gateways = ALL_CORES - beside if enough else SERVER_CORE
    os.sched_setaffinity(0, beside)
    with endless_upstream(CHUNKS, beside) as upstream:
        one, several = [await _worked(upstream, count, gateways, runs) for count in (1, WORKERS)]
    os.sched_setaffinity(0, ALL_CORES)
    costs = [median([sum(run.spent) for run in runs_]) / DELTAS * 1e6 for runs_ in (one, several)]
    busiest = median([max(run.spent) for run in several]) / DELTAS * 1e6
    rows = [
        Row("CPU of the gateway per 1,000 deltas", f"{costs[0]:.1f}", "", "ms", ""),
        Row(f"likewise, of {WORKERS} workers together", f"{costs[1]:.1f}", "", "ms", ""),
        Row(f"likewise, of the busiest of {WORKERS}", f"{busiest:.1f}", "", "ms", ""),
    ]
    name = f"{WORKERS} workers over one"
    if enough:
        rates = [median([run.rate for run in runs_]) for runs_ in (one, several)]
        return [*rows, Row(name, f"{rates[1]:,.0f}", f"{rates[0]:,.0f} (one)", "deltas/s", ">= 3", rates[1] / rates[0])]
    why = f"computed from CPU time: {len(ALL_CORES)} cores, and to run it takes {WORKERS + _BESIDE}"
    return [*rows, Row(f"{name}, {why}", "", "", "", ">= 3", costs[0] / busiest)]


async def _worked(upstream: str, count: int, cores: frozenset[int], runs: int) -> list[_Worked]:
    found = []
    with dragoman("--engine", "llama-server", "--engine-url", upstream, "--workers", str(count), cores=cores) as (url, pid):
        workers = children(pid) if count > 1 else [pid]
        await deltas_per_second(url, STREAMS)  # whoever is still loading is waited for
        for _ in range(runs):
            before = [cpu_seconds(worker) for worker in workers]
            rate = await deltas_per_second(url, STREAMS)
            after = [cpu_seconds(worker) for worker in workers]
            found.append(_Worked(rate, [b - a for a, b in zip(before, after, strict=True)]))
    return found
