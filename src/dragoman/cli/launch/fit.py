"""Chooses a context window that fits this machine's memory."""

import os
from dataclasses import dataclass
from pathlib import Path

from dragoman.models import gguf_file as gguf
from dragoman.models.gguf_header import cache_bytes, trained_window

LARGEST = 131_072
"""Tokens. Without a large GPU a longer prompt takes too long to read; `--context-length` sets a larger window."""
_SMALLEST = 4_096
_STEP = 1_024
_AMPLE = 65_536
"""Tokens that are enough for one conversation. Memory beyond that goes to a second one, for agents."""
_SHARE = 2
"""The KV cache gets half of the memory beside the weights; the rest is for llama.cpp's buffers and its prompt cache."""
_UNKNOWN = 128 * 1024
"""Bytes per token if the file does not say: those of a usual model with eight billion parameters."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`context` tokens for each of `parallel` conversations, chosen for `memory` bytes."""

    context: int
    parallel: int
    memory: int


def fit(path: Path, memory: int | None = None, *, projector: Path | None = None) -> Fit:
    """Choose the window for the model in `path` with its image projector. `memory` is in bytes; by default the free memory."""
    memory = free_memory() if memory is None else memory
    files = [*(path.parent / part for part in gguf.parts(path.name)), *([projector] if projector else [])]
    weights = sum(file.stat().st_size for file in files)
    tokens = max(0, memory - weights) // _SHARE // (cache_bytes(path) or _UNKNOWN)
    longest = min(trained_window(path) or LARGEST, LARGEST)
    parallel = 2 if tokens // 2 >= min(longest, _AMPLE) else 1
    context = tokens // parallel // _STEP * _STEP
    return Fit(min(longest, max(context, _SMALLEST)), parallel, memory)


def free_memory() -> int:
    """Available memory in bytes; half of the physical memory if the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return _physical() // 2
    return min(available, _left_in_container())


def _left_in_container() -> int:
    """Bytes left below the limit of the control group; a very large number without a limit."""
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
