"""An engine elsewhere, by its token door: ids in, a stream of text out, its tokenizer read from its model's own folder.

What such engines have in common stands here; an adapter says how its engine is asked, and how its answer reads.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from dragoman.engines.base import Engine, Job, Piece
from dragoman.engines.http import EngineHttp
from dragoman.engines.model_folder import ModelFolder
from dragoman.engines.watch import Watch
from dragoman.errors import EngineError

FindFolder = Callable[[str], Path]
"""From what an engine calls its model (a path, or a repository on the Hub) to a folder on this machine. May wait."""


class Reader(Protocol):
    """Bytes of one answer in, pieces out, however the bytes arrive. Sans-IO."""

    finished: bool
    """Was the last piece given?"""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that `data` completes; fed with nothing as soon as the engine has taken the job.

        Raises `EngineFailed` at an event that reports a failure or makes no sense.
        """


class TokenDoor(Engine):
    """An engine at an address. `folder` is there from `start` on; `watch` where the engine says who it is."""

    folder: ModelFolder
    watch: Watch | None = None

    def __init__(self, http: EngineHttp) -> None:
        self._http = http

    @abstractmethod
    def request(self, job: Job) -> tuple[str, bytes]:
        """The path that a job is posted to, and the body."""

    @abstractmethod
    def reader(self, job: Job) -> Reader:
        """What reads the answer to this job."""

    def posted(self, job: Job) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The answer to a job, once the engine has taken it."""
        return self._http.work(*self.request(job))

    @property
    def status(self) -> str:
        """As the watch found it."""
        return self.watch.status if self.watch is not None else super().status

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Run the job on a connection of its own."""
        return self._read(self.reader(job), self.posted(job))

    async def _read(
        self, reader: Reader, posted: AbstractAsyncContextManager[AsyncIterator[bytes]]
    ) -> AsyncGenerator[Piece, None]:
        if self.watch is not None:
            self.watch.check()
        try:
            async with posted as answer:
                for piece in reader.feed(b""):
                    yield piece
                async for data in answer:
                    for piece in reader.feed(data):
                        yield piece
                    if reader.finished:
                        return
            raise self._http.lost()
        except EngineError:
            if self.watch is not None:
                self.watch.doubt()
            raise

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """By the model's own tokenizer, in this process."""
        return await self.folder.tokenize(text, special=special)

    async def close(self) -> None:
        """Close every connection; the engine goes on."""
        if self.watch is not None:
            await self.watch.close()
        await self._http.close()
