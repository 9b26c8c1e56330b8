"""How often the runner of batches looks for work."""

import asyncio
from types import SimpleNamespace
from typing import Any

from dragoman.server.batches.runner import BatchRunner


async def test_without_work_it_looks_once_in_each_interval() -> None:
    looked: list[object] = []
    claimed = asyncio.Event()

    async def nothing(*_: object) -> None:
        return None

    async def claim(*found: object) -> list[object]:
        looked.append(found)
        claimed.set()
        return []

    queue = SimpleNamespace(extend=nothing, claim=claim)
    store: Any = SimpleNamespace(exists=True, queue=queue, sweep=nothing, take_ending=nothing)
    answers: Any = None
    ending: Any = nothing
    runner = BatchRunner(store, answers, list, ending)
    runner.start()
    await claimed.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(looked) == 1
    await runner.close()
