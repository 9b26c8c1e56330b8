"""Requests that need the same work at the same time wait for one run of it."""

import asyncio

import pytest

from dragoman.media.shared_work import SharedWork


async def test_work_is_done_once_for_all_that_wait_and_again_later() -> None:
    shared, runs = SharedWork[str, int](), []

    async def work() -> int:
        runs.append(1)
        await asyncio.sleep(0)
        return len(runs)

    assert await asyncio.gather(*(shared.result("a", work) for _ in range(3)), shared.result("b", work)) == [2, 2, 2, 2]
    assert await shared.result("a", work) == 3


async def test_an_error_reaches_all_that_wait() -> None:
    shared = SharedWork[str, int]()

    async def work() -> int:
        await asyncio.sleep(0)
        raise ValueError

    results = await asyncio.gather(*(shared.result("a", work) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]


async def test_work_ends_with_the_last_that_waits() -> None:
    shared, started, ended = SharedWork[str, int](), asyncio.Event(), asyncio.Event()

    async def work() -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 1

    first, second = (asyncio.create_task(shared.result("a", work)) for _ in range(2))
    await started.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not ended.is_set()
    second.cancel()
    await asyncio.wait_for(ended.wait(), 5)
