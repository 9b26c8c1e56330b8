"""An engine elsewhere, by its token door: ids in, a stream of text out, its tokenizer read from its model's own folder.

What such engines have in common stands here; an adapter says how its engine is asked, and how its answer reads.
"""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Protocol

from dragoman.engines.base import Engine, Job, Piece
from dragoman.engines.http import EngineHttp
from dragoman.engines.model_folder import ModelFolder

FindFolder = Callable[[str], Path]
"""From what an engine calls its model (a path, or a repository on the Hub) to a folder on this machine. May wait."""


class Reader(Protocol):
    """Bytes of one answer in, pieces out, however the bytes arrive. Sans-IO."""

    finished: bool
    """Was the last piece given?"""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that `data` completes. Raises `EngineFailed` at an event that reports a failure or makes no sense."""


class TokenDoor(Engine):
    """An engine at an address. `folder` is there from `start` on."""

    folder: ModelFolder

    def __init__(self, http: EngineHttp) -> None:
        self._http = http

    @abstractmethod
    def request(self, job: Job) -> tuple[str, bytes]:
        """The path that a job is posted to, and the body."""

    @abstractmethod
    def reader(self, job: Job) -> Reader:
        """What reads the answer to this job."""

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Run the job on a connection of its own."""
        reader = self.reader(job)
        async with self._http.work(*self.request(job)) as answer:
            async for data in answer:
                for piece in reader.feed(data):
                    yield piece
                if reader.finished:
                    return
        raise self._http.lost()

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """By the model's own tokenizer, in this process."""
        return await self.folder.tokenize(text, special=special)

    async def close(self) -> None:
        """Close every connection; the engine goes on."""
        await self._http.close()
