"""Which models are in memory: loads them on demand, one at a time, and unloads others where they do not fit together.

    a request ──▶ Stay: waits for its turn ──▶ loading ──▶ loaded ──▶ unloading

All requests for a model that is not loaded wait for one stay. When it is its turn, room is made: the model that was not used
for longest is unloaded, one without requests first. A model with requests is drained: those end, and new ones wait for its next
stay. So two models that do not fit together take turns, and each turn answers all requests that came before it. If a model
fails to load, what was unloaded for it is loaded again.
"""

import asyncio
import copy
import logging
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Final, NamedTuple

from dragoman.api.anthropic.models import ModelInfo
from dragoman.engines import Capabilities
from dragoman.errors import DragomanError, EngineUnavailable, InvalidRequest, ShuttingDown, for_client
from dragoman.media.reader import Files
from dragoman.media.vision import Vision
from dragoman.observability.model_metrics import ModelCounts
from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.served_model import ServedModel, Settings
from dragoman.server.models.stay import State, Stay

RETRY_SECONDS: Final = 30.0
"""For how long requests for a model that failed to load get the same error, before it is tried again: that unloads others."""

_GB: Final = 1e9
_LOG = logging.getLogger(__name__)


class Described(NamedTuple):
    """What is known of a model once it was loaded, also after it was unloaded."""

    info: ModelInfo
    found: Capabilities


class Residents:
    """The models in memory. `memory` is how many bytes all may take together, None for no limit."""

    def __init__(
        self, settings: Settings, vision: Vision | None = None, memory: int | None = None, files: Files | None = None
    ) -> None:
        self._settings = settings
        self._vision = vision
        self._files = files
        self.memory = memory
        self._stays: dict[ModelEntry, Stay] = {}  # those that new requests use
        self._leaving: set[Stay] = set()
        self._failures: dict[ModelEntry, tuple[DragomanError, float]] = {}
        self._described: dict[ModelEntry, Described] = {}
        self._removed: set[ModelEntry] = set()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._loads: Counter[ModelEntry] = Counter()
        self._load_failures: Counter[ModelEntry] = Counter()
        self._past_restarts: Counter[ModelEntry] = Counter()

    @asynccontextmanager
    async def use(self, entry: ModelEntry, patience: float | None = None) -> AsyncIterator[ServedModel]:
        """Load a model if it is not loaded, and keep it for the duration of the context.

        Waits at most `patience` seconds for it, None: as long as it takes. Raises `InvalidRequest` for one that does not fit,
        `EngineUnavailable`, `ShuttingDown`, and the error if loading fails.
        """
        if entry not in self._stays:
            self._check(entry)
        stay = self.begin(entry)
        stay.enter()
        try:
            yield await _loaded(stay, patience)
        finally:
            self._leave(stay)

    def begin(self, entry: ModelEntry, *, wanted: bool = False) -> Stay:
        """Return the stay of a model, which begins now if there is none; with `wanted`, also if no request waits for it."""
        stay = self._stays.get(entry)
        if stay is None:
            stay = self._stays[entry] = Stay(entry, wanted=wanted)
            stay.task = self._start(self._load(stay))
        return stay

    def stay(self, entry: ModelEntry) -> Stay | None:
        """Return the stay of a model, the next one if it is unloading and asked for again; None if it is not in memory."""
        return self._stays.get(entry) or next((stay for stay in self._leaving if stay.entry is entry), None)

    def state(self, entry: ModelEntry) -> State:
        """Return the state of a model."""
        if stay := self.stay(entry):
            return State.UNLOADING if stay.unloading else State.LOADED if stay.model else State.LOADING
        return State.FAILED if entry in self._failures else State.UNLOADED

    def failure(self, entry: ModelEntry) -> str | None:
        """Return why a model failed to load when that was last tried; None if it did not fail."""
        return self._failures[entry][0].message if entry in self._failures else None

    async def stop(self, entry: ModelEntry, patience: float) -> None:
        """Unload a model when the requests that use it are complete, or stop loading it; waits at most `patience` seconds."""
        stay = self.stay(entry)
        if stay is None:
            return
        if stay.model is None:
            self._abandon(stay, EngineUnavailable("the model was stopped while it was loading"))
        else:
            await asyncio.wait({self._unload(stay)}, timeout=patience)

    def remove(self, entry: ModelEntry) -> None:
        """Unload a model that is not served any more, when the requests that use it are complete; it is not loaded again."""
        self._removed.add(entry)
        if stay := self._stays.get(entry):
            if stay.model is None:
                self._abandon(stay, EngineUnavailable(f"the model {entry.id} is not served any more"))
            else:
                self._unload(stay)

    def described(self, entry: ModelEntry) -> Described | None:
        """Return what is known of a model that was loaded before; None otherwise."""
        return self._described.get(entry)

    def counts(self, entry: ModelEntry) -> ModelCounts:
        """Return the counts of a model for the metrics."""
        described = self._described.get(entry)
        running = [stay.model for stay in (*self._stays.values(), *self._leaving) if stay.entry is entry and stay.model]
        return ModelCounts(
            model=described.info.id if described else entry.id or "",
            loaded=bool(running),
            loads=self._loads[entry],
            failures=self._load_failures[entry],
            restarts=self._past_restarts[entry] + sum(model.engine.restarts for model in running),
            memory=entry.memory,
        )

    def drain(self) -> None:
        """Admit no more requests, and load no more models."""
        self._closing = True
        for model in self._models():
            model.admission.drain()
        for stay in [stay for stay in self._stays.values() if stay.model is None]:
            self._abandon(stay, ShuttingDown("the server is shutting down"))

    def expire(self) -> None:
        """Admit no more requests, and cancel those that run or wait."""
        self.drain()
        for model in self._models():
            model.admission.expire()

    async def close(self) -> None:
        """Stop loading, and unload all models, used or not; engines that were starting are stopped in order."""
        self.drain()
        for stay in list(self._stays.values()):
            self._unload(stay)
        for stay in self._leaving:
            stay.idle.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _models(self) -> Iterator[ServedModel]:
        return (stay.model for stay in (*self._stays.values(), *self._leaving) if stay.model)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _leave(self, stay: Stay) -> None:
        stay.leave()
        self._start_timer(stay)

    def _start_timer(self, stay: Stay) -> None:
        """Unload a model after its keep-alive, unless it is used before."""
        keep_alive = stay.entry.keep_alive
        if keep_alive is not None and not stay.users and stay.model and not stay.unloading and not self._closing:
            stay.start_timer(asyncio.get_running_loop().call_later(keep_alive, self._unload, stay))

    def _check(self, entry: ModelEntry) -> None:
        """Raise for an entry that cannot be loaded now."""
        if self._closing:
            raise ShuttingDown("the server is shutting down")
        self._check_size(entry)
        error, until = self._failures.get(entry, (None, 0.0))
        if error is not None and asyncio.get_running_loop().time() < until:
            raise copy.copy(error)

    def _check_size(self, entry: ModelEntry) -> None:
        if self.memory is None:
            return
        pinned = sum(stay.entry.memory for stay in self._in_memory() if stay.entry.pinned and not stay.unloading)
        if entry.memory + pinned > self.memory:
            reason = f"{entry.id} needs {entry.memory / _GB:.1f} GB of memory, and this server has {self.memory / _GB:.1f} GB"
            reason += f", of which models that stay loaded take {pinned / _GB:.1f} GB" if pinned else ""
            raise InvalidRequest.at("model", reason)

    def _in_memory(self) -> Iterator[Stay]:
        return (stay for stay in (*self._stays.values(), *self._leaving) if stay.begun)

    def _fits(self, entry: ModelEntry) -> bool:
        taken = sum(stay.entry.memory for stay in self._in_memory())
        return self.memory is None or taken + entry.memory <= self.memory

    async def _load(self, stay: Stay) -> None:
        """Load a model when it is its turn. Engines elsewhere need no room, so they do not wait for a turn."""
        turn: AbstractAsyncContextManager[None] = self._turn if stay.entry.memory else nullcontext()
        async with turn:
            if stay.ready.done():
                return
            unloaded: list[ModelEntry] = []
            try:
                self._check_size(stay.entry)
                if self._is_wanted(stay):
                    await self._make_room(stay.entry, unloaded)
                if self._is_wanted(stay):  # its requests may have left while others ended
                    await self._bring_in(stay)
                    return
                self._abandon(stay, EngineUnavailable("no request waits for the model any more"))
            except Exception as error:
                self._fail(stay, error)
            for entry in unloaded:
                await self._bring_back(entry)

    def _is_wanted(self, stay: Stay) -> bool:
        """Whether a request waits for a model, or it is to be loaded at the start and fits beside what is loaded."""
        return bool(stay.users) or (stay.wanted and self._fits(stay.entry))

    async def _make_room(self, entry: ModelEntry, unloaded: list[ModelEntry]) -> None:
        """Unload models until the one of the entry fits; adds those that it unloads to `unloaded`."""
        while not self._fits(entry):
            stay = self._next_to_unload()
            if stay.unloading is None:
                _LOG.info("unloading %s to make room for %s", stay.entry.id, entry.id)
                unloaded.append(stay.entry)
            await asyncio.wait({self._unload(stay)})

    def _next_to_unload(self) -> Stay:
        """Return the model to wait for: one without users, one that is being unloaded, one that is in use; oldest first."""
        candidates = (stay for stay in self._in_memory() if stay.entry.memory)
        stays = [stay for stay in candidates if stay.unloading or (stay.model and not stay.entry.pinned)]
        return min(stays, key=lambda stay: (0 if not stay.users else 1 if stay.unloading else 2, stay.last_used))

    async def _bring_in(self, stay: Stay) -> None:
        """Load a model, for which there is room. Raises what fails."""
        stay.begun, stay.task = True, asyncio.current_task()
        began = asyncio.get_running_loop().time()
        model = await ServedModel.load(stay.entry, self._settings, self._vision, self._files)
        if stay.ready.done():  # it was abandoned
            await model.close()
            return
        _LOG.info("loaded %s in %.1f s", model.info.id, asyncio.get_running_loop().time() - began)
        self._failures.pop(stay.entry, None)
        self._loads[stay.entry] += 1
        self._described[stay.entry] = Described(model.info, model.found)
        stay.ready.set_result(model)
        self._start_timer(stay)

    async def _bring_back(self, entry: ModelEntry) -> None:
        """Load a model again that was unloaded in vain, for the requests that may wait for it already."""
        if self._closing or entry in self._removed:
            return
        stay = self._stays.setdefault(entry, Stay(entry))
        try:
            await self._bring_in(stay)
        except Exception as error:
            self._fail(stay, error)

    def _fail(self, stay: Stay, error: Exception) -> None:
        """Record why a model was not loaded, unless it was stopped before."""
        if stay.ready.done():
            return
        bug = None if isinstance(error, DragomanError) else error
        known = copy.copy(for_client(error))
        _LOG.error("%s was not loaded: %s", stay.entry.id or "the model", error, exc_info=bug)
        pause = 0.0 if isinstance(error, EngineUnavailable) else RETRY_SECONDS
        self._load_failures[stay.entry] += 1
        self._failures[stay.entry] = known, asyncio.get_running_loop().time() + pause
        self._abandon(stay, error)

    def _abandon(self, stay: Stay, error: Exception) -> None:
        """End a stay before its model is loaded; all who wait get the error."""
        if self._stays.get(stay.entry) is stay:
            del self._stays[stay.entry]
        stay.fail(error)
        if stay.task is not None and stay.task is not asyncio.current_task():
            stay.task.cancel()

    def _unload(self, stay: Stay) -> asyncio.Task[None]:
        """Unload a model when its users have left; new requests get another stay."""
        if stay.unloading is None:
            if self._stays.get(stay.entry) is stay:
                del self._stays[stay.entry]
            self._leaving.add(stay)
            stay.stop_timer()
            stay.unloading = self._start(self._end(stay))
        return stay.unloading

    async def _end(self, stay: Stay) -> None:
        await stay.idle.wait()
        assert stay.model is not None
        try:
            await stay.model.close()
            _LOG.info("unloaded %s", stay.model.info.id)
        except Exception:
            _LOG.exception("%s did not end in order", stay.entry.id)
        finally:
            self._past_restarts[stay.entry] += stay.model.engine.restarts
            self._leaving.discard(stay)


async def _loaded(stay: Stay, patience: float | None) -> ServedModel:
    """Wait for the model of a stay. Raises `EngineUnavailable` after `patience` seconds, and the error if loading fails."""
    try:
        return await asyncio.wait_for(asyncio.shield(stay.ready), patience)
    except TimeoutError:
        if stay.ready.done():
            raise
        raise EngineUnavailable("the model is still loading") from None
