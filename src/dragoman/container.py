"""The limits that control groups set for this process: those of a container, or of a service."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_TOP: Final = "sys/fs/cgroup"
_OWN: Final = re.compile(r"^\d+:(?P<controllers>[^:]*):/(?P<path>.*)$", re.MULTILINE)


def memory_left(root: Path = Path("/")) -> Iterator[int]:
    """Bytes left below each limit (of control groups version 2). `root` is another one in tests.

    What the kernel can drop at once, files that were read some time ago, counts as left.
    """
    for folder in _groups(root, ""):
        with suppress(OSError, ValueError):  # no such file, or "max"
            limit, used = (int(_text(folder / name)) for name in ("memory.max", "memory.current"))
            idle = re.search(r"^inactive_file (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            yield max(0, limit - used + int(idle[1] if idle else 0))


def cpu_limits(root: Path = Path("/")) -> Iterator[float]:
    """The number of CPUs whose time each limit allows (of control groups version 2 and 1). `root` is another one in tests."""
    for folder in _groups(root, ""):
        with suppress(OSError, ValueError):
            quota, period = map(int, _text(folder / "cpu.max").split())
            yield quota / period
    for folder in _groups(root, "cpu"):
        with suppress(OSError, ValueError):
            quota, period = (int(_text(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
            if quota > 0:  # -1: no limit
                yield quota / period


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folder of this process's group and those of the groups above it; "" for those of version 2.

    In a container the path may be that outside of it: then the uppermost folder is the one of the container.
    """
    try:
        groups = _OWN.finditer(_text(root / "proc/self/cgroup"))
    except OSError:
        return
    top = root / _TOP / controller
    for found in groups:
        if controller in found["controllers"].split(","):
            folder = top / found["path"]
            yield from (group for group in (folder, *folder.parents) if group.is_relative_to(top))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
