"""The start of a child process can be cancelled at any moment, also by the end of the program."""

import subprocess
import sys

import pytest

from dragoman.child_process import start_process

STARTS = """
import asyncio, contextlib, subprocess, sys
from dragoman.child_process import start_process

started = []

class Recorded(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        started.append(self)

subprocess.Popen = Recorded

async def start_and_cancel(steps, *, all_tasks):
    command = sys.executable, "-c", "import sys; sys.stdin.read()"
    starting = asyncio.create_task(start_process(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    for _ in range(steps):
        await asyncio.sleep(0)
    if not all_tasks:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting

for steps in range(5):
    for all_tasks in (True, False):
        asyncio.run(start_and_cancel(steps, all_tasks=all_tasks))
for process in started:
    process.wait(20)
print("ended" if started else "nothing was started")
"""
JOB = """
import asyncio, contextlib, time
from dragoman.worker_pool import TooExpensive, WorkerPool

async def main():
    with contextlib.suppress(TooExpensive):
        await WorkerPool(seconds=0.1, preload=()).run(time.sleep, 60)

asyncio.run(main())
"""


def output(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=30, check=True).stdout


def test_a_cancelled_start_ends_with_its_process() -> None:
    assert output(STARTS) == "ended\n"


def test_a_program_that_does_not_close_its_pool_ends_after_a_job_that_took_too_long() -> None:
    assert output(JOB) == ""


async def test_a_program_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await start_process("/nowhere/program")
