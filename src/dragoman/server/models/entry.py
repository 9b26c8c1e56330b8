"""An entry of the list of models that one server has: its names, how its engine is built, and how long it stays in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from dragoman.dialects import Dialect
from dragoman.engines import Engine
from dragoman.errors import EngineUnavailable

EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, eq=False)
class ModelEntry:
    """One model of a server, whether it is loaded or not.

    `id` is the name it is served under; None means the engine's own, which is known once it has started, and is for a server
    with one model only. `build` makes a new engine that is not started; it is called in a thread, once for each load.
    `aliases` are other names. `tiers` are words (haiku, sonnet, opus) in Anthropic's model names that it is used for.
    `dialect` None means the detected one.

    `memory` is what it takes while it is loaded, in bytes; 0 for an engine elsewhere. `window` is its context length in tokens,
    if that is known before it is loaded. It is unloaded after `keep_alive` seconds without a request, None: never. A `pinned`
    one is never unloaded to make room for another. With `preload` it is loaded at the start, as the first entry always is,
    provided that it fits beside what is loaded.
    """

    id: str | None
    build: Callable[[], Engine]
    aliases: Sequence[str] = ()
    tiers: Sequence[str] = ()
    display_name: str | None = None
    created_at: datetime = EPOCH
    dialect: Dialect | None = None
    memory: int = 0
    window: int | None = None
    keep_alive: float | None = None
    pinned: bool = False
    preload: bool = False

    @classmethod
    def of(cls, engine: Engine, **fields: Any) -> "ModelEntry":
        """Return the entry of an engine that exists already; once it is unloaded, it cannot be loaded again."""
        engines = [engine]

        def build() -> Engine:
            if not engines:
                raise EngineUnavailable("the engine of this model was closed, and cannot be started again")
            return engines.pop()

        return replace(cls(None, build), **fields)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are known before the model is loaded: the id, then the aliases (MOD-6)."""
        return (*([self.id] if self.id else []), *self.aliases)
