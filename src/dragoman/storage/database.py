"""A database that is used in a thread of its own, so that the event loop never waits for it: SQLite here, or a shared Postgres.

Both understand the SQL of the stores: types with the names of Postgres, and `?` for each parameter.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar, Final, Protocol, TypeVar

from dragoman.errors import StorageFailed

_PAUSES_S: Final = (0.02, 0.1, 0.5)
"""Pauses before a transaction is run again that gave way to another one; after the last try it has failed.

Without a pause it could take its first lock again before the other one has woken up, and give way once more.
"""

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
Row = tuple[Any, ...]


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row; None if there is none."""

    def fetchall(self) -> list[Any]:
        """Return all other rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection in a transaction."""

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement."""

    def executemany(self, statement: str, parameters: Any, /) -> Any:
        """Run a statement once for each sequence of parameters."""


class Conflict(Exception):
    """Raised if a transaction had to give way to another one: nothing was changed, and it can be run again."""


def unusable(error: Exception) -> StorageFailed:
    """Return the error for clients if the database cannot be used, and log why."""
    _LOG.error("the database cannot be used: %s", error)
    return StorageFailed("the database cannot be used")


class Database(ABC):
    """A database with the tables of one store."""

    skip_locked: ClassVar[str] = ""
    """The end of a subquery that skips the rows that another process is changing, where the database has that."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")

    @property
    @abstractmethod
    def exists(self) -> bool:
        """Whether it may hold anything: a file that does not exist holds nothing."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Return the result of `work`, which is one transaction. Raises what it raises, and `StorageFailed`.

        `work` changes nothing but the database: it is run again if the transaction had to give way to another one.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.run_here, work)

    async def close(self) -> None:
        """Close the database, after the work that was begun."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def run_here(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction in the calling thread, which is always the same one. Raises as `run`."""
        for pause in _PAUSES_S:
            with suppress(Conflict):
                return self._transact(work)
            time.sleep(pause)
        try:
            return self._transact(work)
        except Conflict as conflict:
            raise unusable(conflict) from conflict

    @abstractmethod
    def _transact(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction. Raises `Conflict`, `StorageFailed` and what `work` raises, with nothing changed."""

    @abstractmethod
    def _close(self) -> None: ...
