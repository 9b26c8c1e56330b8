"""Work that several requests wait for at the same time, done once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Job(Generic[V]):
    task: asyncio.Task[V]
    waiting: int = 0


class SharedWork(Generic[K, V]):
    """Running work by key. It is cancelled when no request waits for it any more."""

    def __init__(self) -> None:
        self._jobs: dict[K, _Job[V]] = {}

    async def result(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Wait for the work of this key, which is started if none runs. Raises what the work raises."""
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job(asyncio.create_task(work()))
        job.waiting += 1
        try:
            return await asyncio.shield(job.task)
        finally:
            job.waiting -= 1
            if job.waiting == 0 or job.task.done():
                if self._jobs.get(key) is job:
                    del self._jobs[key]
                job.task.cancel()
