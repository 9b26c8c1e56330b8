"""A program under the launcher, and processes that any event loop starts."""

import asyncio
import sys
from collections.abc import Callable

import pytest

from dragoman.engines.launcher import launched
from dragoman.engines.supervised import spawn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs sh and uvloop")


@pytest.mark.parametrize("private", [True, False])
async def test_a_program_makes_private_files_if_it_is_asked_to(*, private: bool) -> None:
    process = await spawn(*launched(["sh", "-c", "umask"], private=private))
    assert process.stdout is not None
    assert (await process.stdout.read() == b"0077\n") is private
    assert await process.wait() == 0


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 -- not on Windows

    return uvloop.new_event_loop()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, _uvloop])
def test_a_process_is_started_on_either_event_loop(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def output() -> bytes:
        process = await spawn("sh", "-c", "echo started", merge_stderr=True)
        return (await process.communicate())[0]

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(output()) == b"started\n"
