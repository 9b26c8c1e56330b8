"""The window that fits this machine's memory."""

import os
from dataclasses import dataclass
from pathlib import Path

from dragoman.models import gguf_file as gguf
from dragoman.models.gguf_header import cache_bytes, trained_window

LARGEST = 131_072
"""Tokens. Nobody waits for more than that to be read without a large GPU; who has one says `--context-length`."""
_SMALLEST = 4_096
_STEP = 1_024
_AMPLE = 65_536
"""Tokens that make one conversation comfortable. Only beyond that does memory go to a second one, for agents."""
_SHARE = 2
"""The cache gets half of what the weights leave: the other half is for llama.cpp's buffers and its cache of prompts."""
_UNKNOWN = 128 * 1024
"""Bytes per token, where the file does not say: an ordinary model of eight thousand million parameters."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`context` tokens for each of `parallel` conversations. `memory` is what it was reckoned with, in bytes."""

    context: int
    parallel: int
    memory: int


def fit(path: Path, memory: int | None = None) -> Fit:
    """Choose for the model in `path`; `memory` in bytes is what is free, unless it is given."""
    memory = free_memory() if memory is None else memory
    weights = sum((path.parent / part).stat().st_size for part in gguf.parts(path.name))
    tokens = max(0, memory - weights) // _SHARE // (cache_bytes(path) or _UNKNOWN)
    longest = min(trained_window(path) or LARGEST, LARGEST)
    parallel = 2 if tokens // 2 >= min(longest, _AMPLE) else 1
    room = tokens // parallel // _STEP * _STEP
    return Fit(min(longest, max(room, _SMALLEST)), parallel, memory)


def free_memory() -> int:
    """Bytes that can be had without pushing anybody out; where the system does not say, half of all there are."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return _physical() // 2
    return min(available, _left_in_container())


def _left_in_container() -> int:
    """What a control group leaves us, of its limit; a great deal where there is none."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        return int(limit) - int(used)
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 60


def _physical() -> int:
    names = getattr(os, "sysconf_names", {})
    if {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 8 << 30
