"""The limits of control groups, read from folders as Linux has them."""

from pathlib import Path

from dragoman.container import cpu_limits, memory_left


def group(root: Path, path: str, **values: str) -> None:
    """Write the files of a group; `_` in a name stands for the dot."""
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("_", ".", 1)).write_text(value)


def own(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def memory(left: str, used: str, stat: str) -> dict[str, str]:
    return {"memory_max": left, "memory_current": used, "memory_stat": stat}


def test_every_limit_of_a_container_counts_and_what_can_be_dropped_is_free(tmp_path: Path) -> None:
    own(tmp_path, "1:name=systemd:/else", "0::/system.slice/dragoman.service")
    group(tmp_path, "system.slice/dragoman.service", **memory("1000\n", "700\n", "anon 5\ninactive_file 200\n"))
    group(tmp_path, "system.slice", **memory("max\n", "900\n", "inactive_file 0\n"))
    group(tmp_path, "", **memory("2000\n", "1900\n", "anon 5\n"))
    assert list(memory_left(tmp_path)) == [500, 100]
    assert list(memory_left(tmp_path / "elsewhere")) == []


def test_every_limit_of_cpu_time_counts(tmp_path: Path) -> None:
    own(tmp_path, "0::/system.slice/dragoman.service")
    group(tmp_path, "system.slice/dragoman.service", cpu_max="150000 100000\n")
    group(tmp_path, "system.slice", cpu_max="max 100000\n")
    group(tmp_path, "", cpu_max="400000 100000\n")
    assert list(cpu_limits(tmp_path)) == [1.5, 4.0]
    assert list(cpu_limits(tmp_path / "elsewhere")) == []


def test_limits_of_cpu_time_of_version_1_count_also_in_a_container_that_sees_another_path(tmp_path: Path) -> None:
    own(tmp_path, "4:memory:/docker/3f", "2:cpu,cpuacct:/docker/3f", "1:cpuset:/docker/3f", "0::/")
    group(tmp_path, "cpu", cpu_cfs_quota_us="200000\n", cpu_cfs_period_us="100000\n")
    assert list(cpu_limits(tmp_path)) == [2.0]
    group(tmp_path, "cpu/docker/3f", cpu_cfs_quota_us="-1\n", cpu_cfs_period_us="100000\n")
    assert list(cpu_limits(tmp_path)) == [2.0]
