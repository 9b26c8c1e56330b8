"""A vision model on an engine of this process, which describes images for the served model."""

import asyncio

from dragoman.conversation import AnswerPolicy, Conversation, Dialogue, Image, Role, Sampling, Text, Turn
from dragoman.engines import Engine
from dragoman.errors import DragomanError, EngineFailed
from dragoman.media.vision import INSTRUCTION, MOST_TOKENS, Undescribed, Vision
from dragoman.parts import Text as TextPart
from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.served_model import ServedModel, Settings

_POLICY = AnswerPolicy(max_tokens=MOST_TOKENS, sampling=Sampling(temperature=0))


class VisionModel(Vision):
    """A second served model, which only describes images."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the model, once. Raises `EngineFailed` if it does not see or cannot start, `EngineUnavailable`."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        self._served = await ServedModel.load(ModelEntry.of(self._engine), Settings())
        if not self._served.found.images:
            raise EngineFailed(f"the vision model {self._served.info.id} has no image projector, so that it sees nothing")
        self._free = asyncio.Semaphore(self._served.found.slots)

    async def describe(self, image: Image) -> str:
        """Return a description of an image. Raises `Undescribed`."""
        turn = Turn(Role.USER, (image, Text(INSTRUCTION)))
        try:
            prompt = await self._served.prompt(Conversation(Dialogue((turn,)), _POLICY))
            async with self._free:
                parts = [part async for part in self._served.generate(_POLICY, prompt).run()]
        except DragomanError as error:
            raise Undescribed(f"the vision model failed: {error.message}") from error
        if text := "".join(part.text for part in parts if isinstance(part, TextPart)).strip():
            return text
        raise Undescribed("the vision model gave an empty answer")

    async def close(self) -> None:
        """End the engine, also while it starts."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self._engine.close()
