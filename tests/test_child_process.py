"""The start of a child process can be cancelled at any moment, also by the end of the program."""

import asyncio
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable

import pytest

from dragoman.child_process import end_process, start_process

INHERITED = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(12)"])
print("x", flush=True)
time.sleep(60)
"""
"""A program that starts another one with the same output."""
LOOPS = [asyncio.new_event_loop]
if importlib.util.find_spec("uvloop"):  # not on Windows
    LOOPS.append(importlib.import_module("uvloop").new_event_loop)
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
from dragoman.errors import Overloaded
from dragoman.worker_pool import WorkerPool

async def main():
    with contextlib.suppress(Overloaded):
        await WorkerPool(seconds=0.1, preload=()).run(time.sleep, 60)

asyncio.run(main())
"""


def output(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=30, check=True).stdout


def test_a_cancelled_start_ends_with_its_process() -> None:
    assert output(STARTS) == "ended\n"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("program", ["while True: print('x' * 65536)", INHERITED])
def test_a_process_whose_output_is_unread_ends(program: str, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def start_and_end() -> int | None:
        pipe = asyncio.subprocess.PIPE
        process = await start_process(sys.executable, "-c", program, stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        await process.stdout.readexactly(1)
        await asyncio.sleep(0.3)  # it is not read any more
        async with asyncio.timeout(10):
            await end_process(process)
        return process.returncode

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(start_and_end())


def test_a_program_that_does_not_close_its_pool_ends_after_a_job_that_took_too_long() -> None:
    assert output(JOB) == ""


async def test_a_program_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await start_process("/nowhere/program")
