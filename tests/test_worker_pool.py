"""Jobs that exceed a limit or crash end without effect on other jobs."""

import asyncio
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dragoman.errors import InvalidRequest, Overloaded, PromptTooLong
from dragoman.worker_pool import TooExpensive, WorkerPool
from dragoman.worker_pool import pool as pool_module
from dragoman.worker_pool.pool import job_message


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(workers=1, seconds=1.5, memory=256 << 20, preload=())
    yield made
    await made.close()


def _spin() -> None:
    while True:
        pass


def _compute(seconds: float) -> int:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()


def _swallow() -> int:
    return len(bytearray(1 << 30))


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _recurse() -> None:
    _recurse()


def _refuse() -> None:
    raise InvalidRequest.at("tools.0", "no", details={"error_code": "x"})


def _refuse_length() -> None:
    raise PromptTooLong(9, 4)


def _all(*args: bytes, last: bytes) -> list[bytes]:
    return [*args, last]


async def test_a_job_returns_its_result(pool: WorkerPool) -> None:
    assert await pool.run(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]


async def test_large_arguments_arrive_in_their_places(pool: WorkerPool) -> None:
    large, larger = os.urandom(100_000), os.urandom(3_000_000)
    assert await pool.run(_all, larger, b"small", large, last=b"named") == [larger, b"small", large, b"named"]


def test_a_large_argument_is_not_copied() -> None:
    large = bytes(1 << 20)
    head, pickled, argument = job_message(len, (large,), {})
    assert isinstance(argument, memoryview)
    assert argument.obj is large
    assert len(head) + len(pickled) < 1_000


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (_spin, "takes more than 1.5 seconds"),
        (_swallow, "needs more than 256 MB of memory"),
        (_crash, "crashed its worker process"),
        (_recurse, "is nested too deeply"),
    ],
)
async def test_a_job_that_exceeds_a_limit_does_not_affect_others(
    pool: WorkerPool, job: Callable[[], object], reason: str
) -> None:
    with pytest.raises(TooExpensive, match=reason):
        await pool.run(job)
    assert await pool.run(len, "abc") == 3


async def test_time_in_which_others_compute_is_not_counted_until_it_is_far_too_long() -> None:
    pool = WorkerPool(workers=1, seconds=0.4, preload=())
    await pool.run(time.sleep, 1)
    with pytest.raises(Overloaded, match="the machine is too busy to prepare this request"):
        await pool.run(time.sleep, 60)
    assert await pool.run(len, "abc") == 3
    await pool.close()


async def test_each_job_has_its_own_time() -> None:
    pool = WorkerPool(workers=1, seconds=0.5, preload=())
    assert len({await pool.run(_compute, 0.3) for _ in range(3)}) == 1
    await pool.close()


async def test_the_import_of_the_jobs_module_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "import sys, time\nif sys.argv[0] == '-c':\n    time.sleep(0.4)  # in the worker\ndef job():\n    return 42\n"
    (tmp_path / "slow_to_import.py").write_text(slow, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    pool = WorkerPool(workers=1, seconds=0.3, preload=())
    assert await pool.run(importlib.import_module("slow_to_import").job) == 42
    await pool.close()


async def test_the_wait_for_a_worker_is_limited() -> None:
    pool = WorkerPool(workers=1, patience=0.2, preload=())
    working = asyncio.ensure_future(pool.run(_spin))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await pool.run(len, "abc")
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    assert await pool.run(len, "abc") == 3
    await pool.close()


async def test_a_worker_that_does_not_start_in_time_is_an_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(workers=1, preload=())
    with monkeypatch.context() as hurried:
        hurried.setattr(pool_module, "_START_SECONDS", 0.0)
        with pytest.raises(Overloaded, match="starts"):
            await pool.run(os.getpid)
    assert await pool.run(os.getpid) != os.getpid()
    await pool.close()


async def test_a_cancelled_job_frees_its_worker(pool: WorkerPool) -> None:
    job = asyncio.ensure_future(pool.run(time.sleep, 60))
    done, _ = await asyncio.wait({job}, timeout=0.3)
    assert not done
    job.cancel()
    assert await pool.run(len, "abc") == 3


async def test_errors_keep_their_attributes(pool: WorkerPool) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await pool.run(_refuse)
    assert (refused.value.message, refused.value.path, refused.value.details) == ("tools.0: no", "tools.0", {"error_code": "x"})
    with pytest.raises(PromptTooLong, match="prompt is too long: 9 tokens > 4 maximum"):
        await pool.run(_refuse_length)


_ORPHAN = """
import asyncio, os
from dragoman.worker_pool import WorkerPool
async def main():
    print(await WorkerPool(workers=1, preload=()).run(os.getpid), flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


def test_workers_end_with_a_parent_that_was_killed() -> None:
    made = subprocess.run([sys.executable, "-c", _ORPHAN], stdout=subprocess.PIPE, text=True, check=False)
    worker = int(made.stdout)
    deadline = time.monotonic() + 20
    while _runs(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
