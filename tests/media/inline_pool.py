"""A worker pool without workers, for tests of what uses one."""

from collections.abc import Callable
from typing import Any

from dragoman.worker_pool import WorkerPool


class InlinePool(WorkerPool):
    """Runs jobs in this process, and lists the names of their functions. Takes the options of a pool, and ignores them."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.jobs: list[str] = []

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.jobs.append(function.__name__)
        return function(*args, **kwargs)
