"""An engine that replays a script and records its prompts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from conftest import MODEL
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.scripted import Line, ScriptedEngine


class RecordingEngine(ScriptedEngine):
    """Records the prompts."""

    def __init__(self, *script: str | Line) -> None:
        super().__init__([line if isinstance(line, Line) else Line(line) for line in script], model=MODEL)
        self.prompts: list[list[int]] = []

    @property
    def texts(self) -> list[str]:
        """The prompts as text."""
        return ["".join(self.words[token] for token in prompt) for prompt in self.prompts]

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        self.prompts.append(list(request.tokens))
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk


def common_beginning(one: list[int], other: list[int]) -> int:
    """The number of tokens with which both begin."""
    differs = (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    return next(differs, min(len(one), len(other)))
