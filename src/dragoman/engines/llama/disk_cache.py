"""Saves the KV cache of llama.cpp's slots to disk, and restores it before a request that begins with what was saved.

llama.cpp saves and restores a slot between two steps of the model, in the thread that computes: for that long (a few
milliseconds for each megabyte) nothing else is computed. It never does so while the slot is processing. Therefore:

- A slot is saved once no request has run for some seconds, and when the server stops.
- A slot that is taken from a conversation is saved before, unless it was already, or would take too long.
- A slot is restored if that spares the request a good part of its prefill, into a slot whose contents matter least.

Whether a restored slot is of use depends on the model (`saved_prompts`): one that was restored in vain is a lesson.
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
from dragoman.errors import EngineError

IDLE_SECONDS: Final = 20.0
"""For how long no request runs before slots are saved: an agent's tools usually take less, so its turns are not each saved."""

_LONGEST_WAIT: Final = 0.5
"""Seconds that a request may wait while the slot that it takes is saved."""
_LONGEST_STOP: Final = 20.0
"""Seconds for saving when the server stops."""

_NO_ROOM: Final = "there is no room"

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
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None

    def match(self, tokens: "array[int]") -> Match | None:
        """What is saved of a prompt; None if nothing is."""
        return self._prompts.match(tokens)

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
        """Learn from the first report on a prompt before which a slot was restored. If that can be of no use, stop saving."""
        match = self._restored.pop(slot, None) if slot is not UNSET else None
        if match is None:
            return
        self._prompts.record_use(match, progress.cached or 0)
        if self._prompts.useless:
            _log.warning("prompts are no longer saved: this model reads restored ones again")

    def end(self, lease: SlotLease, sent: "array[int]") -> None:
        """Record that a request has ended; once none has run for some seconds, slots are saved."""
        self._running -= 1
        self._restored.pop(lease.slot, None)
        if len(sent) > SHORT_PROMPT and lease.continued:
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
        """Save a slot. Returns whether to go on with others."""
        if self._prompts.useless:
            return False
        name = secrets.token_hex(16)
        try:
            await self._write(slot, sent, name)
        except (EngineError, OSError) as error:
            _log.warning("a prompt of %d tokens could not be saved in %s: %s", len(sent), self._folder.root, error)
            return not isinstance(error, EngineError)
        finally:
            await asyncio.to_thread(self._folder.remove_unfinished, name)
        return True

    async def _write(self, slot: int, sent: "array[int]", name: str) -> None:
        """Save a slot under a name. Raises `EngineError` and `OSError`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if not await asyncio.to_thread(self._folder.make_room, round(len(sent) * self._size)):
            raise OSError(_NO_ROOM)
        saved = await self._act(slot, "save", f"{name}{UNFINISHED}", _Saved)
        if not saved.n_saved:
            return  # the request was cancelled before it was read
        self._rate, self._size = (clock() - began) / saved.n_saved, saved.n_written / saved.n_saved
        if not 0 < saved.n_written <= self._folder.limit:
            raise OSError(_NO_ROOM)
        prompt = await asyncio.to_thread(self._folder.finish, name, sent, saved.n_saved)
        if prompt is None:
            return
        for replaced in self._prompts.add(prompt):
            await asyncio.to_thread(self._folder.remove, replaced.name)
        self._prompts.keep_only(await asyncio.to_thread(self._folder.prune))

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
