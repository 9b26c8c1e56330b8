"""An SQLite database in a file, or in memory."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from dragoman.storage.database import Conflict, Connection, Database, unusable

_PATIENCE_S: Final = 5.0
"""How long one try waits for another process that writes."""
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

T = TypeVar("T")


class SqliteDatabase(Database):
    """A database in a file that only its owner can read, or in memory if `file` is None.

    `schema` creates what is missing in it. Processes of one machine may share the file.
    """

    def __init__(self, file: Path | None, schema: str) -> None:
        super().__init__()
        self._file = file
        self._schema = schema
        self._connection: sqlite3.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether it may hold anything."""
        return self._connection is not None or (self._file is not None and self._file.exists())

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            if _is_locked(error):
                raise Conflict(str(error)) from error
            raise unusable(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._file is not None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._file or ":memory:", timeout=_PATIENCE_S)
        try:
            connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {self._schema}")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_locked(error: Exception) -> bool:
    """Whether another process held the file: the low byte of the code has the kind of the error."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED
