"""A wait that ends in the callback that ends it, as a task sees it."""

import asyncio
from contextvars import ContextVar

import pytest

from dragoman.engines.direct_wait import DirectWait

PLACE = ContextVar("PLACE", default="nowhere")


async def waiting(wait: DirectWait, seen: list[str], times: int = 1) -> None:
    PLACE.set("in the task")
    for _ in range(times):
        await wait
        seen.append(PLACE.get())


async def in_callback(wait: DirectWait, seen: list[str]) -> int:
    """The number of waits that had ended when `end` returned, called as sockets call protocols."""
    done = asyncio.get_running_loop().create_future()

    def callback() -> None:
        wait.end()
        done.set_result(len(seen))

    asyncio.get_running_loop().call_soon(callback)
    return await done


async def test_the_task_goes_on_before_the_callback_returns() -> None:
    wait, seen = DirectWait(), list[str]()
    task = asyncio.create_task(waiting(wait, seen, times=3))
    await asyncio.sleep(0)
    assert [await in_callback(wait, seen) for _ in range(3)] == [1, 2, 3]
    await task
    assert seen == ["in the task"] * 3
    assert PLACE.get() == "nowhere"


async def test_an_end_without_a_wait_is_not_kept() -> None:
    wait, seen = DirectWait(), list[str]()
    assert await in_callback(wait, seen) == 0
    task = asyncio.create_task(waiting(wait, seen))
    await asyncio.sleep(0.01)
    assert not task.done()
    assert await in_callback(wait, seen) == 1
    await task


@pytest.mark.parametrize("ends", [False, True], ids=["alone", "and the wait ends"])
async def test_a_task_that_waits_can_be_cancelled(ends: bool) -> None:
    wait, seen = DirectWait(), list[str]()
    task = asyncio.create_task(waiting(wait, seen))
    await asyncio.sleep(0)
    task.cancel()
    if ends:
        asyncio.get_running_loop().call_soon(wait.end)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == []


async def test_a_cancelled_wait_can_be_followed_by_another() -> None:
    wait, seen = DirectWait(), list[str]()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await wait
    task = asyncio.create_task(waiting(wait, seen))
    await asyncio.sleep(0)
    assert await in_callback(wait, seen) == 1
    await task
