"""The contents of files, by name: in a folder here, or in another store."""

import asyncio
import logging
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from dragoman.errors import StorageFailed

_LOG = logging.getLogger(__name__)
CHUNK: Final = 1 << 20
"""Bytes that are read and written at once."""


class Contents(ABC):
    """A store of contents. Names are letters, digits, `_` and `-`. All methods raise `StorageFailed` if it cannot be used."""

    @abstractmethod
    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a content; one with the same name is replaced, once the new one is complete."""

    @abstractmethod
    def read(self, name: str) -> AsyncIterator[bytes]:
        """Yield a content in chunks. Raises `StorageFailed` if it is not there."""

    @abstractmethod
    async def delete(self, name: str) -> None:
        """Remove a content, if it is there."""

    @abstractmethod
    async def close(self) -> None:
        """Release what the store holds."""


class FolderContents(Contents):
    """Contents as files in a folder that only its owner can read; a temporary one, removed by `close`, if `folder` is None."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a content."""
        with failing("a file cannot be kept", OSError):
            path = await asyncio.to_thread(self._path, name)
            unfinished = path.with_suffix(".unfinished")
            file = await asyncio.to_thread(_create, unfinished)
            try:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.to_thread(file.close)
            await asyncio.to_thread(unfinished.replace, path)

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """Yield a content in chunks."""
        with failing("a file cannot be read", OSError):
            path = await asyncio.to_thread(self._path, name)
            file = await asyncio.to_thread(path.open, "rb")
            try:
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    yield chunk
            finally:
                await asyncio.to_thread(file.close)

    async def delete(self, name: str) -> None:
        """Remove a content, if it is there."""
        with failing("a file cannot be removed", OSError):
            path = await asyncio.to_thread(self._path, name)
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def close(self) -> None:
        """Remove the temporary folder."""
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)

    def _path(self, name: str) -> Path:
        with self._lock:
            if self._folder is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="dragoman-files-")
                self._folder = Path(self._temporary.name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder / name


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


@contextmanager
def failing(sentence: str, *errors: type[Exception]) -> Iterator[None]:
    """Make these errors `StorageFailed`, and log them."""
    try:
        yield
    except errors as error:
        _LOG.error("%s: %s", sentence, str(error).partition("\n")[0])
        raise StorageFailed(sentence) from error
