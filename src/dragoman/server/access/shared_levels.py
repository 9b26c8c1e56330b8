"""What is left of the limits of keys, in memory that several processes share."""

import fcntl
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from dragoman.server.access.rate_limits import Kind, Level, Levels

_RECORDS: Final = 16_384
"""The most limits; what is beyond is counted by each process."""
_NAME: Final = 32
_UNUSED: Final = bytes(_NAME)
_RECORD: Final = 64
"""Bytes of a record: the hash of a limit's name, then three numbers: the limit, what is left, and when that was so."""
_NUMBERS: Final = slice(_NAME, _RECORD - 8)


class SharedLevels(Levels):
    """The levels of several processes; made before they are forked.

    The lock is one of the kernel's, on a file without a name, so that a process that is killed does not keep it.
    """

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, _RECORDS * _RECORD))
        self._file, name = tempfile.mkstemp()
        Path(name).unlink()
        weakref.finalize(self, os.close, self._file)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the other processes out."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def level(self, owner: str, kind: Kind, limit: int, now: float) -> Level:
        """Return the level of a limit, which is full if no process knew it, or not with this limit."""
        name = sha256(f"{owner} {kind}".encode()).digest()
        for start in range(0, _RECORDS * _RECORD, _RECORD):
            record = self._memory[start : start + _RECORD]
            if record[:_NAME] == _UNUSED:
                record[:_NAME] = name
            if record[:_NAME] == name:
                numbers = record[_NUMBERS].cast("d")
                if numbers[0] != limit:
                    numbers[0], numbers[1], numbers[2] = limit, limit, now
                return numbers[1:]
        return super().level(owner, kind, limit, now)
