"""A scripted engine that a test controls: it generates the line it is given, and can be held before any output chunk."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from dragoman.engines import Capabilities, EngineRequest, OutputChunk
from dragoman.engines.base import PrefillProgress
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed

PREFILL, FIRST_TOKEN = 0, 1
"""Numbers of the output chunks to hold: the one that reports the prefill, and the first one with text."""


class ControllableEngine(ScriptedEngine):
    """Generates `line` for every request. The test controls it from its thread; the server's event loop runs in another."""

    def __init__(self, *, window: int = 200_000, slots: int = 64) -> None:
        super().__init__([], window=window, slots=slots)
        self.url = ""
        self.opened = self.closed = self.waiting = 0
        self.chunks_sent = 0  # of all requests
        self.requests: list[EngineRequest] = []
        self.reset()

    @property
    def prompts(self) -> list[Sequence[int]]:
        """The prompts it was given, as token ids."""
        return [request.tokens for request in self.requests]

    def reset(self) -> None:
        """Set every control back to its default: a greeting, no failure, no hold."""
        self.line = Line("Hello there.")
        self.failure: Exception | None = None
        self.tokenizer_failure: Exception | None = None
        self.fails_at_once = False
        self.cached = 0
        self._gate: asyncio.Event | None = None
        self._held_chunk = 0

    def says(self, output: str, **fields: Any) -> str:
        """Set the line to generate, and return the URL of the server."""
        self.line = Line(output, **fields)
        return self.url

    def hold(self, before: int) -> None:
        """Stop every request before that output chunk, until `release`."""
        self._gate, self._held_chunk = asyncio.Event(), before

    def release(self) -> None:
        """Let all held requests continue."""
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

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.opened += 1
        self.requests.append(request)
        try:
            await self._pause(PREFILL)
            if self.fails_at_once:
                self._fail()
            yield OutputChunk(prefill=PrefillProgress(len(request.tokens), self.cached, len(request.tokens)))
            for number, chunk in enumerate(self.reported(request, self.line), FIRST_TOKEN):
                await self._pause(number)
                if chunk.finish is not None:
                    self._fail()
                self.chunks_sent += 1
                yield chunk
        finally:
            self.closed += 1

    async def _pause(self, number: int) -> None:
        if self._gate is None or number != self._held_chunk:
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
    """Wait until the condition holds, which another thread or process brings about; `pause` is the seconds between checks."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} seconds"
        time.sleep(pause)


def until_still(read: Callable[[], int]) -> int:
    """Wait until a number that another thread increments has not changed for 100 checks in a row, and return it."""
    seen = [read()]

    def still() -> bool:
        seen.append(read())
        return len(seen) > 100 and len(set(seen[-100:])) == 1

    until(still)
    return seen[-1]
