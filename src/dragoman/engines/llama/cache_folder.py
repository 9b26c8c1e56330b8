"""The folder of saved KV caches: `FOLDER/KEY/NAME.state`, which llama.cpp writes, with `NAME.prompt`, which says what is in it.

There is a subfolder for each model with its settings, since a file is of use only to the same ones; its `model.json` has them.
Several servers may share the folder, and `dragoman cache clear` may empty it, so any file may be gone. When a file was used
last is its time of modification. Files are private (0600, in folders of 0700). A broken or incomplete file is removed.

Everything here reads and writes files, so it is called in threads.
"""

import contextlib
import logging
import os
import secrets
import shutil
import time
import zlib
from array import array
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from dragoman.engines.llama.saved_prompts import MOST_PROMPTS, SavedPrompt
from dragoman.engines.llama.saved_state import saved_tokens

STATE, PROMPT, UNFINISHED = ".state", ".prompt", ".new"
MODEL: Final = "model.json"

_ABANDONED: Final = 600.0
"""Seconds after which an unfinished file is one whose writer has died."""
_FUTURE: Final = 3600.0
"""Seconds by which a file's time may be ahead of the clock. One that is further ahead is from when the clock was wrong."""
_CHUNK: Final = 1 << 22

_log = logging.getLogger(__name__)


class CacheKey(Struct, frozen=True):
    """What a saved KV cache depends on, apart from the tokens.

    `files` are the model file, its image projector and what else the engine reads, or is: path, size and time of modification.
    `engine` is the engine's build. `context` is the length of a slot in tokens. `settings` is a digest of the operator's own
    arguments to the engine, which may hold secrets.
    """

    model: str
    files: tuple[tuple[str, int, int], ...]
    engine: str
    context: int
    settings: str = ""

    @classmethod
    def of(cls, model: str, files: Sequence[Path], engine: str, context: int, settings: Sequence[str] = ()) -> "CacheKey":
        """The key of these files. Raises `OSError`."""
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        digest = sha256(msgspec.json.encode(settings)).hexdigest() if settings else ""
        return cls(model, tuple(stats), engine, context, digest)

    @property
    def name(self) -> str:
        """The name of the subfolder."""
        return sha256(msgspec.json.encode(self)).hexdigest()[:32]


class _Record(Struct, frozen=True):
    """The contents of a `.prompt` file: the tokens as 32-bit numbers, and what the `.state` file must be like."""

    tokens: bytes
    size: int
    checksum: int


class StoredFile(Struct, frozen=True):
    """A saved KV cache: its size in bytes and when it was used last, in seconds since 1970."""

    path: Path
    size: int
    used: float


class CacheFolder:
    """The saved KV caches of one model with its settings. `limit` is for the whole folder, in bytes."""

    def __init__(self, root: Path, limit: int, key: CacheKey) -> None:
        self.root = root
        self.limit = limit
        self.path = root / key.name
        self._key = key
        self._checked: set[str] = set()

    def open(self) -> list[SavedPrompt]:
        """Make the folder, remove what is broken, and return the prompts, the last used one last. Raises `OSError`."""
        self._make()
        self.prune()
        newest = sorted(stored_files(self.path), key=lambda file: file.used)[-MOST_PROMPTS:]
        return [prompt for file in newest if (prompt := self._prompt(file)) is not None]

    def finish(self, name: str, sent: "array[int]", length: int) -> SavedPrompt | None:
        """Take in the file that llama.cpp has written: `length` tokens of a slot to which the prompt `sent` was sent.

        None if it is not what it should be. Raises `OSError`.
        """
        written = self.path / f"{name}{UNFINISHED}"
        tokens = saved_tokens(written, sent, length)
        if tokens is None:
            return None
        written.chmod(0o600)
        record = _Record(tokens.tobytes(), written.stat().st_size, _checksum(written))
        self._write(self.path / f"{name}{PROMPT}", msgspec.msgpack.encode(record))
        written.rename(self.path / f"{name}{STATE}")
        self._checked.add(name)
        return SavedPrompt(name, tokens)

    def check(self, prompt: SavedPrompt) -> bool:
        """Whether the file is there and whole; it is read once. A file that is not whole is removed. Marks it as used."""
        state = self.path / f"{prompt.name}{STATE}"
        try:
            size = state.stat().st_size
            record = msgspec.msgpack.decode((self.path / f"{prompt.name}{PROMPT}").read_bytes(), type=_Record)
            whole = size == record.size
            whole = whole and (prompt.name in self._checked or _checksum(state) == record.checksum)
            os.utime(state)
        except FileNotFoundError:
            self.remove(prompt.name)
            return False
        except (OSError, ValueError):  # msgspec's errors are ValueErrors, too
            whole = False
        if whole:
            self._checked.add(prompt.name)
        else:
            _log.warning("a saved prompt is broken and was removed: %s", state)
            self.remove(prompt.name)
        return whole

    def remove(self, name: str) -> None:
        """Remove a saved prompt."""
        for suffix in (STATE, PROMPT):
            with contextlib.suppress(OSError):
                (self.path / f"{name}{suffix}").unlink(missing_ok=True)

    def remove_unfinished(self, name: str) -> None:
        """Remove a file that llama.cpp has written, if it was not taken in."""
        with contextlib.suppress(OSError):
            (self.path / f"{name}{UNFINISHED}").unlink(missing_ok=True)

    def make_room(self, size: int) -> bool:
        """Whether a file of this size may be written: it is within the limit, and half of the free space is left.

        Makes the folder if another process has removed it. Raises `OSError`.
        """
        if not (self.path / MODEL).exists():
            self._make()
        return size <= min(self.limit, shutil.disk_usage(self.root).free // 2)

    def prune(self) -> set[str]:
        """Remove the files used least recently, until all are within the limit, and what writers have left that died.

        Half of the space that would be free without them is another limit. Returns the names of this model's prompts.
        """
        for path in self.root.glob("*/*"):
            with contextlib.suppress(OSError):
                incomplete = path.suffix == UNFINISHED or (path.suffix == PROMPT and not path.with_suffix(STATE).exists())
                if incomplete and path.stat().st_mtime < time.time() - _ABANDONED:
                    path.unlink()
        files = list(stored_files(self.root))
        room = min(self.limit, (sum(file.size for file in files) + shutil.disk_usage(self.root).free) // 2)
        for file in excess(files, room):
            remove(file)
        return {file.path.stem for file in stored_files(self.path)}

    def _prompt(self, file: StoredFile) -> SavedPrompt | None:
        try:
            record = msgspec.msgpack.decode(file.path.with_suffix(PROMPT).read_bytes(), type=_Record)
            if record.size == file.size:
                return SavedPrompt(file.path.stem, array("I", record.tokens))
        except (OSError, ValueError):
            pass
        _log.warning("a saved prompt is broken and was removed: %s", file.path)
        remove(file)
        return None

    def _make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.path.chmod(0o700)
        self._write(self.path / MODEL, msgspec.json.encode(self._key))

    def _write(self, path: Path, data: bytes) -> None:
        """Write a private file, which is there as a whole or not at all, whatever another process writes."""
        unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
        unfinished.touch(mode=0o600, exist_ok=False)
        unfinished.write_bytes(data)
        unfinished.replace(path)


def excess(files: list[StoredFile], room: int) -> list[StoredFile]:
    """The files to remove, those used least recently first, so that the others have no more than `room` bytes."""
    total = sum(file.size for file in files)
    removed = []
    for file in sorted(files, key=lambda file: file.used):
        if total <= room:
            break
        removed.append(file)
        total -= file.size
    return removed


def stored_files(folder: Path) -> Iterator[StoredFile]:
    """The saved KV caches in a folder and its subfolders. When one was used that is of the future is not known: long ago."""
    latest = time.time() + _FUTURE
    for path in folder.rglob(f"*{STATE}"):
        with contextlib.suppress(OSError):  # another process has removed it
            found = path.stat()
            yield StoredFile(path, found.st_size, found.st_mtime if found.st_mtime <= latest else 0)


def remove(file: StoredFile) -> None:
    """Remove a saved KV cache."""
    for path in (file.path, file.path.with_suffix(PROMPT)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def clear(root: Path) -> list[StoredFile]:
    """Remove every file of ours, and the subfolders that are then empty. Returns the KV caches that were removed."""
    removed: list[StoredFile] = []
    for subfolder in root.glob("*"):
        if read_key(subfolder) is None:
            continue
        removed += stored_files(subfolder)
        for path in subfolder.iterdir():
            if path.suffix in (STATE, PROMPT, UNFINISHED) or path.name == MODEL:
                with contextlib.suppress(OSError):
                    path.unlink()
        with contextlib.suppress(OSError):
            subfolder.rmdir()
    return removed


def read_key(subfolder: Path) -> CacheKey | None:
    """What the files in a subfolder belong to, None if it is not one of ours."""
    try:
        return msgspec.json.decode((subfolder / MODEL).read_bytes(), type=CacheKey)
    except (OSError, ValueError):
        return None


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
