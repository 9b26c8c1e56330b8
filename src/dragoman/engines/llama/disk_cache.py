"""Saves the KV cache of llama.cpp's slots to disk, and restores it before a request that begins with what was saved.

llama.cpp saves and restores a slot between two steps of the model, in the thread that computes: for that long (a few
milliseconds for each megabyte) nothing else is computed. It never does so while the slot is processing. Therefore:

- A slot is saved once no request has run for some seconds, and when the server stops.
- A slot that is taken from a conversation is saved before, unless it was already, or would take too long.
- A slot is restored if that spares the request a good part of its prefill, into a slot whose contents matter least.

Whether a restored slot is of use depends on the model: of a recurrent state only the end is saved, so no other continuation
can begin there. A trial at the first start finds out, and a slot that was restored in vain later switches saving off.
"""

import asyncio
import logging
import secrets
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.engines.base import SHORT_PROMPT, PrefillProgress
from dragoman.engines.http import EngineHttp
from dragoman.engines.llama.cache_folder import STATE, UNFINISHED, CacheFolder, CacheKey
from dragoman.engines.llama.saved_prompts import Match, SavedPrompts
from dragoman.engines.llama.slot_choice import SlotLease
from dragoman.engines.llama.wire import Completion, CompletionReader, Tokens
from dragoman.errors import EngineError, EngineFailed

IDLE_SECONDS: Final = 20.0
"""For how long no request runs before slots are saved: an agent's tools usually take less, so its turns are not each saved."""

_LONGEST_WAIT: Final = 0.5
"""Seconds that a request may wait while the slot that it takes is saved."""
_LONGEST_STOP: Final = 20.0
"""Seconds for saving when the server stops."""
_TRIAL_TEXT: Final = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TRIAL_OTHER: Final = " apples"
_LEAST_USED: Final = 0.5
"""The share of the restored tokens that a request must find, or else restoring is of no use with this model."""

_MOST_USELESS: Final = 3
"""After so many in a row, saving is switched off."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class DiskSettings(Struct, frozen=True):
    """Where KV caches are saved, with a limit in bytes. `idle` is in seconds, see `IDLE_SECONDS`."""

    folder: Path
    limit: int
    idle: float = IDLE_SECONDS

    def open(
        self, model: str, files: Sequence[Path], engine: str, context: int, settings: Sequence[str] = ()
    ) -> "SavedSlots | None":
        """Read what is saved for what `CacheKey` is made of; None if that is not possible. Reads files."""
        try:
            folder = CacheFolder(self.folder, self.limit, CacheKey.of(model, files, engine, context, settings))
            return SavedSlots(folder, SavedPrompts(folder.open()), self.idle)
        except OSError as error:
            _log.warning("prompts are not saved on disk: %s", error)
            return None


class SavedSlots(Struct, frozen=True):
    """The slots that are saved for one model with its settings, for every server that runs it in turn."""

    folder: CacheFolder
    prompts: SavedPrompts
    idle: float

    @property
    def path(self) -> Path:
        """The folder in which the server must be allowed to save slots."""
        return self.folder.path


class _Action(Struct):
    filename: str


class _Saved(Struct):
    n_saved: int
    n_written: int


class _Restored(Struct):
    n_restored: int


class DiskCache:
    """Saves and restores the slots of one server. A failure is logged and never fails a request."""

    def __init__(self, http: EngineHttp, saves: SavedSlots) -> None:
        self._http = http
        self._folder = saves.folder
        self._prompts = saves.prompts
        self._idle = saves.idle
        self._unsaved: dict[int, array[int]] = {}  # slots that no request has, and the prompts sent to them, by their age
        self._restored: dict[int, Match] = {}  # slots that were restored for a request, until its prefill begins
        self._running = 0
        self._rate = 0.0  # seconds of saving a token, as last measured
        self._size = 0.0  # bytes of a token, as last measured
        self._useless = 0  # restored slots in a row that were of no use
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None

    async def restores(self) -> bool:
        """Whether a prompt that was saved and restored serves another prompt with the same beginning. Uses slot 0.

        Tried once for each model with its settings. Raises `EngineError`.
        """
        if self._folder.restores is None:
            outcome = await self._try_restoring()
            await asyncio.to_thread(self._folder.record_trial, restores=outcome)
        return bool(self._folder.restores)

    async def _try_restoring(self) -> bool:
        text = msgspec.json.encode({"content": _TRIAL_TEXT})
        other = msgspec.json.encode({"content": _TRIAL_OTHER})
        shared = (await self._http.call("POST", "/tokenize", Tokens, text)).tokens
        end = (await self._http.call("POST", "/tokenize", Tokens, other)).tokens
        await self._cached([*shared, *shared], 0)
        name = f"trial-{secrets.token_hex(8)}"
        try:
            await self._act(0, "save", f"{name}{UNFINISHED}", _Saved)
            await self._act(0, "erase", "", msgspec.Raw)
            await self._act(0, "restore", f"{name}{UNFINISHED}", _Restored)
            return await self._cached([*shared, *end], 0) >= len(shared) // 2
        finally:
            await asyncio.to_thread(self._folder.remove, name)

    async def _cached(self, tokens: list[int], slot: int) -> int:
        """Process a prompt, and return how many of its tokens were cached."""
        reader = CompletionReader()
        cached = 0
        async with self._http.stream("/completion", msgspec.json.encode(Completion(tokens, 1, id_slot=slot))) as answer:
            async for data in answer:
                for chunk in reader.feed(data):
                    cached = max(cached, chunk.prefill.cached or 0) if chunk.prefill else cached
                if reader.finished:
                    return cached
        raise EngineFailed("it does not finish a prompt")

    def match(self, tokens: "array[int]") -> Match | None:
        """What is saved of a prompt; None if nothing is."""
        return self._prompts.match(tokens) if self._useless < _MOST_USELESS else None

    async def begin(self, lease: SlotLease, match: Match | None) -> None:
        """Prepare the slot of a request: save what the request takes from it, restore what is saved of its prompt."""
        self._running += 1
        if self._timer is not None:
            self._timer.cancel()
        unsaved = self._unsaved.pop(lease.slot, None)
        if unsaved is not None and lease.takes and len(unsaved) * self._rate <= _LONGEST_WAIT:
            await self._save(lease.slot, unsaved)
        if lease.restores and match is not None:
            await self._restore(lease.slot, match)

    def record_prefill(self, slot: int | UnsetType, progress: PrefillProgress) -> None:
        """Check the first report on a prompt before which a slot was restored. If that is of no use repeatedly, stop saving."""
        match = self._restored.pop(slot, None) if slot is not UNSET else None
        if match is None:
            return
        self._useless = 0 if (progress.cached or 0) >= _LEAST_USED * match.length else self._useless + 1
        if self._useless == _MOST_USELESS:
            _log.warning("prompts are no longer saved: this model reads restored ones again")

    def end(self, lease: SlotLease, sent: "array[int]") -> None:
        """Record that a request has ended; once none has run for some seconds, slots are saved."""
        self._running -= 1
        self._restored.pop(lease.slot, None)
        if len(sent) > SHORT_PROMPT:
            self._unsaved[lease.slot] = sent
        if self._running == 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self._idle, self._save_idle)

    def _save_idle(self) -> None:
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_while_idle(), name="save slots")

    async def _save_while_idle(self) -> None:
        while self._unsaved and self._running == 0:
            await self._save(*self._unsaved.popitem())

    async def close(self) -> None:
        """Save what is not saved yet, the conversation that was used last first."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(_LONGEST_STOP):
                if self._saving is not None:
                    await self._saving
                while self._unsaved and await self._save(*self._unsaved.popitem()):
                    pass
        except TimeoutError:
            _log.warning("stopped before all prompts were saved: that takes longer than %.0f s", _LONGEST_STOP)

    async def _save(self, slot: int, sent: "array[int]") -> bool:
        """Save a slot; whether that worked."""
        if self._useless >= _MOST_USELESS:
            return False
        name, clock = secrets.token_hex(16), asyncio.get_running_loop().time
        began = clock()
        try:
            if not await asyncio.to_thread(self._folder.has_room, round(len(sent) * self._size)):
                _log.warning("a prompt of %d tokens is not saved: there is no room in %s", len(sent), self._folder.root)
                return False
            saved = await self._act(slot, "save", f"{name}{UNFINISHED}", _Saved)
            if saved.n_saved:
                self._rate, self._size = (clock() - began) / saved.n_saved, saved.n_written / saved.n_saved
            prompt = await asyncio.to_thread(self._folder.finish, name, sent, saved.n_saved)
            for replaced in self._prompts.add(prompt) if prompt is not None else ():
                await asyncio.to_thread(self._folder.remove, replaced.name)
            self._prompts.keep_only(await asyncio.to_thread(self._folder.prune))
        except (EngineError, OSError) as error:
            _log.warning("a prompt could not be saved: %s", error)
            await asyncio.to_thread(self._folder.remove, name)
            return False
        return True

    async def _restore(self, slot: int, match: Match) -> None:
        prompt = match.prompt
        if not await asyncio.to_thread(self._folder.check, prompt):
            self._prompts.discard(prompt)
            return
        try:
            await self._act(slot, "restore", f"{prompt.name}{STATE}", _Restored)
            self._prompts.use(prompt)
            self._restored[slot] = match
        except EngineError as error:
            _log.warning("a saved prompt could not be restored: %s", error)
            self._prompts.discard(prompt)
            await asyncio.to_thread(self._folder.remove, prompt.name)

    async def _act(self, slot: int, action: str, file: str, answer: type[T]) -> T:
        return await self._http.call("POST", f"/slots/{slot}?action={action}", answer, msgspec.json.encode(_Action(file)))
