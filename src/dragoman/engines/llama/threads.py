"""How many threads llama.cpp computes with."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import psutil

from dragoman.container import cpu_limits

_CPUS: Final = "sys/devices/system/cpu"
_FAST: Final = "sys/devices/cpu_core/cpus"
"""Where Linux lists the faster ones of two kinds of cores, on processors of Intel."""


def compute_threads(root: Path = Path("/"), cpus: Collection[int] | None = None) -> int:
    """One for each fast core that this process may use, as in llama.cpp itself, and not more than a container has CPU time for.

    Threads wait for each other after every operation, so that a slow one holds up all: the second one of a core, one of a core
    that saves energy, or one for which the container has no time left. `root` and `cpus` are other ones in tests.
    """
    allowed = set(_allowed() if cpus is None else cpus)
    fast = allowed & _listed(root / _FAST) or allowed
    cores = {_siblings(root, cpu) for cpu in fast}
    physical = len(cores) if None not in cores else psutil.cpu_count(logical=False) or len(fast)  # None: not on Linux
    return max(1, min([len(fast), physical, *(int(limit + 0.5) for limit in cpu_limits(root))]))


def _allowed() -> Collection[int]:
    """The CPUs that this process may use, which in a container may be fewer than the machine has."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _siblings(root: Path, cpu: int) -> frozenset[int] | None:
    """The CPUs of the same core; None if the system does not say."""
    return frozenset(_listed(root / _CPUS / f"cpu{cpu}/topology/thread_siblings_list")) or None


def _listed(file: Path) -> set[int]:
    """The numbers in a list such as `0-3,8`; none if there is no such file."""
    try:
        ranges = [part.split("-") for part in file.read_text(encoding="ascii").strip().split(",") if part]
    except OSError:
        return set()
    return {number for first, *last in ranges for number in range(int(first), int(last[0] if last else first) + 1)}
