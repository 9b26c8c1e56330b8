"""The memory that this machine has free, and an estimate of what a model takes while it is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from dragoman.container import memory_left
from dragoman.models import gguf_file as gguf
from dragoman.models.cache_size import CacheSize, cache_size
from dragoman.models.resolve import ModelFile

_UNKNOWN_CACHE: Final = CacheSize(128 * 1024)
"""The KV cache if the file does not say: that of a usual model with eight billion parameters."""
_PROCESS: Final = 96 << 20
"""Bytes of llama.cpp's process without a model: its libraries, and the smallest buffers."""
_BUFFERS: Final = 20
"""llama.cpp's buffers for computing take about a twentieth of the weights."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model takes, in bytes: `weights` of all its files, and the KV cache of each conversation."""

    weights: int
    cache: CacheSize

    @classmethod
    def of(cls, model: ModelFile) -> "Footprint":
        """Read the sizes of all parts of the model, of its image projector and its draft model, and the headers."""
        weights, cache = sum(path.stat().st_size for path in files(model)), cache_size(model.path) or _UNKNOWN_CACHE
        if model.draft is None:
            return cls(weights, cache)
        draft = cls.of(model.draft)
        both = CacheSize(cache.per_token + draft.cache.per_token, cache.per_slot + draft.cache.per_slot)
        return cls(weights + draft.weights, both)

    @property
    def fixed(self) -> int:
        """What it takes beside the KV cache."""
        return self.weights + self.weights // _BUFFERS + _PROCESS

    def conversations(self, window: int, slots: int) -> int:
        """The KV cache of `slots` conversations of `window` tokens each."""
        return slots * (self.cache.per_slot + self.cache.per_token * window)

    def window_in(self, memory: int, slots: int) -> int:
        """The window, in tokens, of each of `slots` conversations whose KV cache takes `memory` bytes."""
        return max(0, memory // slots - self.cache.per_slot) // max(1, self.cache.per_token)

    def total(self, window: int, slots: int) -> int:
        """What it takes with `slots` conversations of `window` tokens each."""
        return self.fixed + self.conversations(window, slots)


def files(model: ModelFile) -> Sequence[Path]:
    """All files of the model: its parts, and its image projector."""
    folder = model.path.parent
    return [*(folder / part for part in gguf.parts(model.path.name)), *([model.projector] if model.projector else [])]


@dataclass(frozen=True, slots=True)
class Memory:
    """Free memory in bytes: of the `system`, within the limit of a container, and of all `devices` of a llama-server."""

    system: int
    devices: int = 0

    @property
    def total(self) -> int:
        """The memory of both: layers that do not fit on a device stay in the system's."""
        return self.system + self.devices


def free_memory(devices: int = 0) -> Memory:
    """The free memory of this machine. `devices` is what a llama-server reports as free on its devices, in bytes."""
    return Memory(min([psutil.virtual_memory().available, *memory_left()]), devices)
