"""An engine that a test directs: it says the line it was given, and can be held before any of its pieces."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from dragoman.engines import Capabilities, EngineRequest, OutputChunk
from dragoman.engines.base import PrefillProgress
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed

PREFILL, FIRST_TOKEN = 0, 1
"""Numbers of the pieces to hold: the report that the prompt was read, and the first one with text."""


class Stage(ScriptedEngine):
    """Says `line` to whoever asks. Directed from the test's thread, while the server's loop runs in another."""

    def __init__(self, *, window: int = 200_000, slots: int = 64) -> None:
        super().__init__([], window=window, slots=slots)
        self.url = ""
        self.opened = self.closed = self.waiting = 0
        self.said = 0  # pieces, of all jobs
        self.jobs: list[EngineRequest] = []
        self.reset()

    @property
    def prompts(self) -> list[Sequence[int]]:
        """What it was given to read."""
        return [job.tokens for job in self.jobs]

    def reset(self) -> None:
        """Back to a greeting."""
        self.line = Line("Hello there.")
        self.failure: Exception | None = None
        self.tokenizer_failure: Exception | None = None
        self.fails_at_once = False
        self.cached = 0
        self._gate: asyncio.Event | None = None
        self._held_piece = 0

    def says(self, output: str, **fields: Any) -> str:
        """Set the line; gives the server's URL."""
        self.line = Line(output, **fields)
        return self.url

    def hold(self, before: int) -> None:
        """Stop every job before that piece, until `release`."""
        self._gate, self._held_piece = asyncio.Event(), before

    def release(self) -> None:
        """Let all jobs go on."""
        gate, self._gate = self._gate, None
        if gate is not None:
            self.loop.call_soon_threadsafe(gate.set)

    async def start(self) -> Capabilities:
        self.loop = asyncio.get_running_loop()
        return await super().start()

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        if self.tokenizer_failure is not None:
            raise self.tokenizer_failure
        return await super().tokenize(text, special=special)

    async def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.opened += 1
        self.jobs.append(job)
        try:
            await self._pause(PREFILL)
            if self.fails_at_once:
                self._fail()
            yield OutputChunk(prefill=PrefillProgress(len(job.tokens), self.cached, len(job.tokens)))
            for number, piece in enumerate(self.line.pieces(job.limit), FIRST_TOKEN):
                await self._pause(number)
                if piece.finish is not None:
                    self._fail()
                self.said += 1
                yield piece
        finally:
            self.closed += 1

    async def _pause(self, number: int) -> None:
        if self._gate is None or number != self._held_piece:
            await asyncio.sleep(0)
            return
        self.waiting += 1
        try:
            await self._gate.wait()
        finally:
            self.waiting -= 1

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.line.finish_reason == "error":
            raise EngineFailed("the script says that the engine fails here")


def until(condition: Callable[[], bool], seconds: float = 20, *, pause: float = 0.002) -> None:
    """Wait for another thread or process to bring it about, with so many seconds between two looks."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(pause)


def until_still(read: Callable[[], int]) -> int:
    """Wait until a number that another thread counts up has not moved for 100 looks in a row."""
    seen = [read()]

    def still() -> bool:
        seen.append(read())
        return len(seen) > 100 and len(set(seen[-100:])) == 1

    until(still)
    return seen[-1]
