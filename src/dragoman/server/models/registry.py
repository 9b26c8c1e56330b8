"""The models of a server: resolves the names that clients use to entries, and loads the models."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from dragoman.api.anthropic.models import ModelInfo
from dragoman.errors import UnknownModel
from dragoman.media.vision import Vision
from dragoman.observability.cache_miss import SentPrompts
from dragoman.observability.model_metrics import ModelCounts
from dragoman.observability.recent import RecentRequests
from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.residents import Residents
from dragoman.server.models.served_model import ServedModel, Settings, describe
from dragoman.server.transport.body import BodyMemory
from dragoman.server.transport.siblings import Siblings
from dragoman.server_tools import ServerToolbox
from dragoman.storage.files import FileStore
from dragoman.worker_pool import POOL

FAMILY: Final = "claude"
_FAMILY_PREFIX = f"{FAMILY}-"
_LONG_CONTEXT_SUFFIX = "[1m]"
_MOST_SEEN = 10_000


class ModelRegistry:
    """Holds the models of a server; the first entry is the default. `vision` describes images for those that do not see.

    `shutdown` is set when connections should end: streams of the page have no end of their own.

    `memory` is how many bytes the loaded models may take together, None for no limit. `siblings` are the other processes that
    serve the same models at the same address. Raises `ValueError` where two entries have a name in common, or one of several
    has none.
    """

    def __init__(
        self,
        entries: Sequence[ModelEntry],
        settings: Settings,
        vision: Vision | None = None,
        memory: int | None = None,
    ) -> None:
        check_entries(entries)
        self.entries = entries
        self.vision = vision
        self.settings = settings
        self.files = FileStore(settings.place, settings.files_limit)
        self.residents = Residents(settings, vision, memory, self.files)
        self.bodies = BodyMemory()
        self.toolbox = ServerToolbox(settings.server_tools)
        self.sent_prompts = SentPrompts()
        self.recent = RecentRequests(settings.inspect)
        self.siblings = Siblings()
        self.shutdown = asyncio.Event()
        self._loading: asyncio.Future[ServedModel] | None = None
        self._seen: set[str] = set()

    @property
    def default(self) -> ModelEntry:
        """The entry that names of no other entry mean."""
        return self.entries[0]

    @property
    def ready(self) -> ServedModel | None:
        """The default model, if it is loaded."""
        return stay.model if (stay := self.residents.stay(self.default)) else None

    def load(self) -> "asyncio.Future[ServedModel]":
        """Start loading the models that are wanted at the start, once, and return the default one, or why it is not loaded."""
        if self._loading is None:
            self._loading = self.residents.begin(self.default, wanted=True).ready
            self._preload(self.entries)
        return self._loading

    async def outcome(self) -> "asyncio.Future[ServedModel]":
        """Return what `load` does, once it is done; while it loads, another model may become the default one."""
        while not (loading := self.load()).done():
            await asyncio.wait({loading})
        return loading

    def _preload(self, entries: Iterable[ModelEntry]) -> None:
        for entry in entries:
            if entry.preload:
                self.residents.begin(entry, wanted=True)

    def replace(self, entries: Sequence[ModelEntry], memory: int | None) -> None:
        """Serve these entries from now on, within so much memory; those that are known already stay as they are.

        Models that are gone are unloaded when the requests that use them are complete. Raises `ValueError` as the constructor.
        """
        check_entries(entries)
        known, self.entries = self.entries, entries
        self.residents.memory = memory
        for entry in known:
            if entry not in entries:
                self.residents.remove(entry)
        if self.default is not known[0]:
            self._loading = self.residents.begin(self.default, wanted=True).ready
        self._preload(entry for entry in entries if entry not in known)

    @asynccontextmanager
    async def use(self, name: str, patience: float | None = None) -> AsyncIterator[tuple[ServedModel, str | None]]:
        """Yield the model that a client names, kept loaded for the duration of the context, and the adapter that it names.

        Raises `UnknownModel`, and as `Residents.use`.
        """
        entry = self.find(name)
        async with self.residents.use(entry, patience) as model:
            yield model, self.adapter(entry, name)

    def find(self, name: str) -> ModelEntry:
        """Return the entry that a client names. Raises `UnknownModel`.

        If there is only one, and it was not loaded yet, every name may be one of its adapters: `adapter` finds out.
        """
        if len(self.entries) == 1 and not self.residents.described(self.default):
            return self.default
        plain = name.removesuffix(_LONG_CONTEXT_SUFFIX)
        for names in (self._own_names, self.names):
            for entry in self.entries:
                if plain in names(entry):
                    return entry
        if plain.startswith(_FAMILY_PREFIX):
            return next((entry for entry in self.entries if any(tier in plain for tier in entry.tiers)), self.default)
        if self.settings.any_model:
            return self.default
        raise self.unknown(name)

    def find_exactly(self, name: str) -> ModelEntry:
        """Return the entry with this id or other name. Raises `UnknownModel`."""
        for entry in self.entries:
            if name in self.names(entry):
                return entry
        raise self.unknown(name)

    @property
    def served(self) -> list[str]:
        """The ids of the models and the adapters of this server, as far as they are known."""
        described = [(entry.id, self.residents.described(entry)) for entry in self.entries]
        ids = ([found.info.id, *found.found.adapters] if found else [identifier] for identifier, found in described)
        return [identifier for each in ids for identifier in each if identifier]

    async def meant(self, name: str) -> str:
        """Return the id of the model or the adapter that a client names; the model is loaded if only that can tell.

        Raises `UnknownModel`, and as `Residents.use`.
        """
        entry = self.find(name)
        if described := self.residents.described(entry):
            return self.adapter(entry, name) or described.info.id
        plain = name.removesuffix(_LONG_CONTEXT_SUFFIX)
        if entry.id and (plain in self.names(entry) or plain.startswith(_FAMILY_PREFIX)):
            return entry.id
        async with self.use(name) as (model, adapter):
            return adapter or model.info.id

    def adapter(self, entry: ModelEntry, name: str) -> str | None:
        """Return the adapter that `name` names, None for the model itself; the entry's model was loaded before.

        Raises `UnknownModel` if this server does not serve `name` (ERR-10).
        """
        plain = name.removesuffix(_LONG_CONTEXT_SUFFIX)
        described = self.residents.described(entry)
        if described and plain in described.found.adapters:
            return plain
        if self.settings.any_model or plain in self.names(entry) or plain.startswith(_FAMILY_PREFIX):
            return None
        raise self.unknown(name)

    def names(self, entry: ModelEntry) -> list[str]:
        """Return the names of a model: id, aliases (MOD-6), adapters, as far as they are known.

        One without `claude` in its names is also `claude-ID`, since some clients show such names only (CC-3).
        """
        names = self._own_names(entry)
        return names if not names or any(FAMILY in name for name in names) else [*names, f"{_FAMILY_PREFIX}{names[0]}"]

    def info(self, entry: ModelEntry) -> ModelInfo | None:
        """Return the description of a model for clients, in which is null what is not known before it is loaded.

        None if not even its name is known.
        """
        if described := self.residents.described(entry):
            return described.info
        return describe(entry, entry.id, entry.window) if entry.id else None

    def counts(self) -> list[ModelCounts]:
        """Return the counts of all models for the metrics."""
        return [self.residents.counts(entry) for entry in self.entries]

    def new_names(self, names: Iterable[str]) -> list[str]:
        """Return the names that this process has not seen before: each ignored name is logged once (BETA-2)."""
        fresh = sorted(set(names) - self._seen)
        if len(self._seen) < _MOST_SEEN:
            self._seen.update(fresh)
        return fresh

    def unknown(self, name: str) -> UnknownModel:
        """Return the error for a name that no model has."""
        known = ", ".join(name for entry in self.entries for name in self.names(entry))
        return UnknownModel(f"model: {name} (this server has {known}, and accepts any name that begins with {_FAMILY_PREFIX})")

    async def close(self) -> None:
        """Stop loading, and unload all models."""
        await self.residents.close()
        if self.vision:
            await self.vision.close()
        await self.files.close()
        await self.toolbox.close()
        await POOL.close()

    def _own_names(self, entry: ModelEntry) -> list[str]:
        described = self.residents.described(entry)
        if described is None:
            return list(entry.names)
        return [described.info.id, *entry.aliases, *described.found.adapters]


def check_entries(entries: Sequence[ModelEntry]) -> None:
    """Raise `ValueError` for entries whose names are not clear."""
    names = [name for entry in entries for name in entry.names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two models are named {twice[0]}")
    if not entries or (len(entries) > 1 and not all(entry.id for entry in entries)):
        raise ValueError("a server has at least one model, and each of several has an id")
