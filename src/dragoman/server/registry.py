"""Loads the served model, and resolves the names that clients use for it."""

import asyncio
from collections.abc import Iterable

from dragoman.engines import Engine
from dragoman.errors import EngineUnavailable, UnknownModel
from dragoman.media.vision import Vision
from dragoman.server.body import BodyMemory
from dragoman.server.served_model import ServedModel, Settings
from dragoman.worker_pool import POOL

_FAMILY_PREFIX = "claude-"
_LONG_CONTEXT_SUFFIX = "[1m]"
_LOADING_PATIENCE = 30.0
_MOST_SEEN = 10_000


class ModelRegistry:
    """Holds the served model, loads it, and resolves its names. `vision` describes images for a model that does not see."""

    def __init__(self, engine: Engine, settings: Settings, vision: Vision | None = None) -> None:
        self.engine = engine
        self.vision = vision
        self.settings = settings
        self._loading: asyncio.Task[ServedModel] | None = None
        self.bodies = BodyMemory()
        self._seen: set[str] = set()

    def load(self) -> "asyncio.Task[ServedModel]":
        """Start loading the model, once, and return the task; its result is the model or the error."""
        if self._loading is None:
            self._loading = asyncio.create_task(ServedModel.load(self.engine, self.settings, self.vision))
        return self._loading

    async def model(self, patience: float = _LOADING_PATIENCE) -> ServedModel:
        """Wait at most `patience` seconds for the model. Raises `EngineUnavailable`, and the error if loading failed."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.load()), patience)
        except TimeoutError:
            raise EngineUnavailable("the model is still loading") from None

    @property
    def ready(self) -> ServedModel | None:
        """The model, if it is loaded."""
        done = self._loading is not None and self._loading.done() and not self._loading.cancelled()
        return self._loading.result() if done and self._loading and not self._loading.exception() else None

    async def close(self) -> None:
        """Stop loading, and close the engine."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait({self._loading})  # an engine that was starting is stopped in order
        if self.ready:
            await self.ready.media.close()
        if self.vision:
            await self.vision.close()
        await self.engine.close()
        await POOL.close()

    def new_names(self, names: Iterable[str]) -> list[str]:
        """Return the names that this process has not seen before: each ignored name is logged once (BETA-2)."""
        fresh = sorted(set(names) - self._seen)
        if len(self._seen) < _MOST_SEEN:
            self._seen.update(fresh)
        return fresh

    def names(self, model: ServedModel) -> list[str]:
        """Return the served id, then the aliases (MOD-6), then the model's adapters."""
        return [model.info.id, *self.settings.aliases, *model.found.adapters]

    def resolve(self, model: ServedModel, name: str) -> str | None:
        """Return the adapter that `name` names, None for the model itself.

        Raises `UnknownModel` if this server does not serve `name` (ERR-10).
        """
        plain = name.removesuffix(_LONG_CONTEXT_SUFFIX)
        if plain in model.found.adapters:
            return plain
        known = self.names(model)
        if self.settings.any_model or plain in known or plain.startswith(_FAMILY_PREFIX):
            return None
        raise UnknownModel(
            f"model: {name} (this server has {', '.join(known)}, and accepts any name that begins with {_FAMILY_PREFIX})"
        )
