"""The model while it comes up, and the names it answers to."""

import asyncio
from collections.abc import Iterable

from dragoman.engines import Engine
from dragoman.errors import EngineUnavailable, UnknownModel
from dragoman.server.body import BodyMemory
from dragoman.server.served_model import ServedModel, Settings
from dragoman.worker_pool import POOL

_FAMILY_PREFIX = "claude-"
_LONG_CONTEXT_SUFFIX = "[1m]"
_LOADING_PATIENCE = 30.0
_MOST_HEARD = 10_000


class ModelRegistry:
    """The service while it comes up, and the names it answers to."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self._loading: asyncio.Task[ServedModel] | None = None
        self.bodies = BodyMemory()
        self._heard: set[str] = set()

    def load(self) -> "asyncio.Task[ServedModel]":
        """Begin to load; the task ends with the service or with why there is none."""
        if self._loading is None:
            self._loading = asyncio.create_task(ServedModel.load(self.engine, self.settings))
        return self._loading

    async def model(self, patience: float = _LOADING_PATIENCE) -> ServedModel:
        """Wait, `patience` seconds at most, for the model to be loaded. Raises `EngineUnavailable`, and why loading failed."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.load()), patience)
        except TimeoutError:
            raise EngineUnavailable("the model is still loading") from None

    @property
    def ready(self) -> ServedModel | None:
        """The service, if it is there."""
        done = self._loading is not None and self._loading.done() and not self._loading.cancelled()
        return self._loading.result() if done and self._loading and not self._loading.exception() else None

    async def close(self) -> None:
        """Stop loading, stop the engine."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait({self._loading})  # an engine that was coming up is let go in order
        await self.engine.close()
        await POOL.close()

    def unheard(self, names: Iterable[str]) -> list[str]:
        """Those of the names that this process has not met before: what is ignored is told of once (BETA-2)."""
        fresh = sorted(set(names) - self._heard)
        if len(self._heard) < _MOST_HEARD:
            self._heard.update(fresh)
        return fresh

    def names(self, model: ServedModel) -> list[str]:
        """The served id, then the aliases (MOD-6), then the model's variants."""
        return [model.info.id, *self.settings.aliases, *model.found.adapters]

    def resolve(self, model: ServedModel, name: str) -> str | None:
        """The variant of the model that `name` is, None for the model itself.

        Raises `UnknownModel` where this server does not answer to `name` (ERR-10).
        """
        plain = name.removesuffix(_LONG_CONTEXT_SUFFIX)
        if plain in model.found.adapters:
            return plain
        known = self.names(model)
        if self.settings.any_model or plain in known or plain.startswith(_FAMILY_PREFIX):
            return None
        raise UnknownModel(
            f"model: {name} (this server has {', '.join(known)}, and takes any name that begins with {_FAMILY_PREFIX})"
        )
