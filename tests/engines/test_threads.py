"""The number of threads of llama.cpp on machines of several kinds, read from files as Linux has them."""

import os
from pathlib import Path

import pytest

from dragoman.engines.llama.threads import compute_threads


def machine(root: Path, *cores: str, fast: str = "", cpu_max: str = "max 100000") -> Path:
    """A machine with cores that are the CPUs in `cores`."""
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": cpu_max}
    for core in cores:
        for cpu in core.replace("-", ",").split(","):
            files[f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"] = f"{core}\n"
    if fast:
        files["sys/devices/cpu_core/cpus"] = f"{fast}\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_core_with_two_threads_computes_once(tmp_path: Path) -> None:
    root = machine(tmp_path, "0,4", "1,5", "2,6", "3,7")
    assert compute_threads(root, range(8)) == 4
    assert compute_threads(root, [0, 1, 4]) == 2


def test_cores_that_save_energy_are_left_out_unless_there_are_no_others(tmp_path: Path) -> None:
    root = machine(tmp_path, "0-1", "2-3", "4", "5", "6", "7", fast="0-3")
    assert compute_threads(root, range(8)) == 2
    assert compute_threads(root, [5, 6, 7]) == 3


@pytest.mark.parametrize(("limit", "expected"), [("max", 4), (50_000, 1), (140_000, 1), (250_000, 3), (900_000, 4)])
def test_a_container_has_threads_for_its_share_of_time(tmp_path: Path, limit: object, expected: int) -> None:
    assert compute_threads(machine(tmp_path, "0", "1", "2", "3", cpu_max=f"{limit} 100000"), range(4)) == expected


def test_without_a_description_of_the_cores_there_is_a_thread_for_each_at_most(tmp_path: Path) -> None:
    assert compute_threads(tmp_path, [0]) == 1


def test_this_machine_has_threads() -> None:
    assert 1 <= compute_threads() <= (os.cpu_count() or 1)
