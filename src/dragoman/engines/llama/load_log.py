"""Reads from llama.cpp's log, while it loads a model, what computes: the devices, the layers on them, the threads.

The server reports this nowhere else. Lines of the versions that are supported; any of them may be missing:

    common_param:   - CUDA0   : NVIDIA GeForce RTX 4090 (24080 MiB, 23700 MiB free)
    llama_prepare_model_devices: using device CUDA0 (NVIDIA GeForce RTX 4090) (0000:01:00.0) - 23700 MiB free
    load_tensors: offloaded 33/33 layers to GPU
    system_info: n_threads = 8 (n_threads_batch = 8) / 16 | …
"""

import re
from typing import Final

_DEVICE: Final = re.compile(r"- (\S+) *: (.+) \((\d+) MiB, \d+ MiB free\)$")
_USED: Final = re.compile(r"using device (\S+) \((.+?)\)(?: \([^()]*\))? - (\d+) MiB free$")
_LAYERS: Final = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_THREADS: Final = re.compile(r"\bn_threads = (\d+)")
_CPU: Final = "CPU"


class LoadLog:
    """What the lines of a log say. `used` are the names of the devices other than the CPU."""

    def __init__(self) -> None:
        self.used: list[str] = []
        self._devices: dict[str, str] = {}
        self._layers: tuple[str, str] | None = None
        self._threads: str | None = None

    def read(self, line: str) -> None:
        """Take what a line says."""
        if found := _DEVICE.search(line):
            name, description, memory = found.groups()
            self._devices[name] = _device(name, description, memory)
        elif found := _USED.search(line):
            name, description, memory = found.groups()
            self._devices.setdefault(name, f"{_device(name, description, memory)} free")
            if name not in self.used:
                self.used.append(name)
        elif found := _LAYERS.search(line):
            self._layers = found[1], found[2]
        elif (found := _THREADS.search(line)) and self._threads is None:
            self._threads = found[1]

    @property
    def computes(self) -> str:
        """The line for people, such as "CUDA0 (NVIDIA GeForce RTX 4090), 24,080 MiB, 33 of 33 layers on it, 8 threads"."""
        parts = [" and ".join(self._devices[name] for name in self.used) or self._devices.get(_CPU, _CPU)]
        if self.used and self._layers is not None:
            parts.append(f"{self._layers[0]} of {self._layers[1]} layers on {'it' if len(self.used) == 1 else 'them'}")
        if self._threads is not None:
            parts.append(f"{self._threads} thread{'' if self._threads == '1' else 's'}")
        return ", ".join(parts)


def _device(name: str, description: str, memory: str) -> str:
    return f"{name} ({description}), {int(memory):,} MiB"
