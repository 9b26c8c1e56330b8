"""The folder of `--capture`: writes exchanges, and removes the oldest ones beyond a size or an age."""

import logging
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final

from dragoman.observability.captured import CapturedExchange, time_in_name

_LOG = logging.getLogger(__name__)
_WRITTEN: Final = re.compile(r"\d{8}T\d{6}\.\d{3}Z-req_\w+\.json")
"""The names that `CapturedExchange` gives to its files; no others are counted or removed."""
_KEPT: Final = 0.9
"""The part of the limit that is kept when files are removed, so that the folder is not listed for each request."""


class CaptureFolder:
    """A folder of captured exchanges, of at most `limit` bytes in all, none older than `age` seconds; None: without a limit.

    Its methods wait for the disk, and may be called by several threads.
    """

    def __init__(self, path: Path, limit: int | None = None, age: float | None = None) -> None:
        self.path = path
        self._limit = limit
        self._age = age
        self._lock = Lock()
        self._total: int | None = None  # bytes in all files, None before the folder was listed
        self._oldest = ""  # the name of the oldest file

    def keep(self, exchange: CapturedExchange) -> None:
        """Write an exchange, and remove what is too old or too much. Raises `OSError`."""
        size = exchange.write(self.path)
        if self._limit is None and self._age is None:
            return
        with self._lock:
            if self._total is not None:
                self._total += size
                self._oldest = min(self._oldest or exchange.file_name, exchange.file_name)
            if self._total is None or self._is_over(self._total) or self._oldest < self._first_kept():
                self._remove()

    def _is_over(self, total: float) -> bool:
        return self._limit is not None and total > self._limit

    def _first_kept(self) -> str:
        """The beginning of the first name that is not too old."""
        if self._age is None:
            return ""
        with suppress(OverflowError):  # before the year 1
            return time_in_name(datetime.now(UTC) - timedelta(seconds=self._age))
        return ""

    def _remove(self) -> None:
        """List the folder and remove the oldest files. One that cannot be removed still counts, and is logged."""
        sizes = {path: size for path in sorted(self.path.iterdir()) if (size := _size(path)) is not None}
        total, first = sum(sizes.values()), self._first_kept()
        wanted = self._limit * _KEPT if self._limit is not None and total > self._limit else total
        kept = []
        for path, size in sizes.items():
            if path.name >= first and total <= wanted:
                kept.append(path.name)
                continue
            try:
                path.unlink(missing_ok=True)
                total -= size
            except OSError as error:
                _LOG.warning("%s was not removed: %s", path, error)
                kept.append(path.name)
        self._total, self._oldest = total, min(kept, default="")


def _size(path: Path) -> int | None:
    """The bytes of a file that the capture wrote, None for all others, and for one that another process removed."""
    if not _WRITTEN.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return None
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return None
