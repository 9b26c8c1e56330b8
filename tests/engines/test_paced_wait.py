"""A wait that gathers what comes often, as a task sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from dragoman.engines import paced_wait
from dragoman.engines.paced_wait import FLOWING, PacedWait


@asynccontextmanager
async def counting(interval: float, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[PacedWait, list[None]]]:
    """A wait with this interval, and how often the task that waits went on."""
    monkeypatch.setattr(paced_wait, "INTERVAL", interval)
    wait, ends = PacedWait(), list[None]()

    async def task() -> None:
        while True:
            await wait
            ends.append(None)

    waiting = asyncio.create_task(task())
    await asyncio.sleep(0)
    yield wait, ends
    waiting.cancel()


async def called(times: int, end: Callable[[], None]) -> None:
    """Call it so often in one callback of the event loop, as sockets call protocols."""
    done = asyncio.get_running_loop().create_future()

    def callback() -> None:
        for _ in range(times):
            end()
        done.set_result(None)

    asyncio.get_running_loop().call_soon(callback)
    await done


async def test_the_first_of_many_ends_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counting(60, monkeypatch) as (wait, ends):
        await called(FLOWING, wait.end_soon)
        assert len(ends) == FLOWING
        await called(100, wait.end_soon)
        assert len(ends) == FLOWING


async def test_what_is_held_back_ends_the_wait_after_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counting(0.05, monkeypatch) as (wait, ends):
        await called(FLOWING + 100, wait.end_soon)
        for _ in range(3):
            await asyncio.sleep(0.05)
        assert len(ends) == FLOWING + 1


async def test_an_end_after_the_interval_takes_what_is_held_back_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counting(60, monkeypatch) as (wait, ends):
        await called(FLOWING + 1, wait.end_soon)
        wait._due = 0.0  # the interval has passed
        await called(1, wait.end_soon)
        assert len(ends) == FLOWING + 1
        assert wait._timer is None


async def test_a_wait_that_is_rarely_ended_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counting(0.01, monkeypatch) as (wait, ends):
        for number in range(1, FLOWING + 5):
            await called(1, wait.end_soon)
            assert len(ends) == number
            await asyncio.sleep(0.015)


async def test_the_last_end_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counting(60, monkeypatch) as (wait, ends):
        await called(FLOWING + 5, wait.end_soon)
        await called(1, wait.end)
        assert len(ends) == FLOWING + 1
