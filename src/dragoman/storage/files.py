"""Keeps uploaded files and those that the server makes: what is known of each in a database, the contents in another store."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import astuple, dataclass, fields
from hashlib import sha256
from typing import Final

from dragoman.errors import InvalidRequest, UnknownObject
from dragoman.storage.contents import Contents
from dragoman.storage.database import Connection, Database
from dragoman.storage.pages import Listed, Page, listed
from dragoman.storage.place import Place

FILE: Final = "files.db"
LIMIT: Final = 10 * 10**9
"""The most bytes of files, by default."""
_SWEEP_S: Final = 600.0
"""Seconds between searches for files that have expired."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION,
    filename TEXT NOT NULL, mime_type TEXT NOT NULL, size BIGINT NOT NULL, digest TEXT NOT NULL,
    downloadable INTEGER NOT NULL, purpose TEXT NOT NULL, swept INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS files_listed ON files (owner, created, id);
CREATE INDEX IF NOT EXISTS files_expiring ON files (swept, expires);
"""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file. `owner` is the name of the key of its request; only requests with the same key find it.

    Times are in seconds since the epoch, sizes in bytes. `purpose` is for OpenAI's API. The server made what is `downloadable`.
    """

    id: str
    owner: str
    created: float
    expires: float | None
    filename: str
    mime_type: str
    size: int
    digest: str
    downloadable: bool
    purpose: str


_COLUMNS: Final = ", ".join(field.name for field in fields(StoredFile))


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to keep. `lifetime` is in seconds, None for ever; `id` is for a file that may be made twice."""

    owner: str
    filename: str
    mime_type: str
    purpose: str = "user_data"
    lifetime: float | None = None
    downloadable: bool = False
    id: str | None = None


class FileStore:
    """The kept files. `limit` is in bytes; what an upload would take beyond it is refused."""

    def __init__(self, place: Place, limit: int = LIMIT, now: Callable[[], float] = time.time) -> None:
        self._database: Database = place.tables(FILE, _SCHEMA)
        self._contents: Contents = place.contents()
        self._limit = limit
        self._now = now
        self._swept = 0.0

    async def add(self, new: NewFile, chunks: AsyncIterator[bytes], size: int = 0) -> StoredFile:
        """Keep a file, whose size is known to be at least `size`. Raises `InvalidRequest` if it does not fit."""
        await self._sweep()
        if not new.downloadable:  # what the server makes has room always
            self._check_room(await self._database.run(_total) + size)
        identifier = new.id or f"file_{secrets.token_hex(12)}"
        measured = _Measured(chunks)
        await self._contents.write(identifier, measured.chunks())
        created = self._now()
        file = StoredFile(
            identifier,
            new.owner,
            created,
            None if new.lifetime is None else created + new.lifetime,
            new.filename,
            new.mime_type,
            measured.size,
            measured.digest,
            new.downloadable,
            new.purpose,
        )
        try:
            await self._database.run(lambda connection: self._insert(connection, file))
        except Exception:
            await self._contents.delete(identifier)
            raise
        return file

    async def find(self, identifier: str, owner: str) -> StoredFile:
        """Return what is known of a file, expired or not. Raises `UnknownObject`."""
        found = await self.find_several((identifier,), owner)
        if not found:
            raise UnknownObject(f"File `{identifier[:80]}` not found.")
        return found[0]

    async def find_several(self, identifiers: Sequence[str], owner: str) -> list[StoredFile]:
        """Return those of the files that are kept, in their order."""
        query = f"SELECT {_COLUMNS} FROM files WHERE id = ? AND owner = ?"
        rows = await self._database.run(
            lambda connection: [connection.execute(query, (name, owner)).fetchone() for name in identifiers]
        )
        return [StoredFile(*row) for row in rows if row is not None]

    async def page(self, owner: str, page: Page, purpose: str | None = None) -> tuple[list[StoredFile], bool]:
        """Return a page of the files, and whether there are more."""
        query = f"SELECT {_COLUMNS} FROM files WHERE owner = ?"
        parameters = [owner]
        if purpose is not None:
            query, parameters = f"{query} AND purpose = ?", [owner, purpose]
        found: Listed = await self._database.run(lambda connection: listed(connection, query, parameters, page))
        return [StoredFile(*row) for row in found.rows], found.more

    async def read(self, file: StoredFile) -> AsyncIterator[bytes]:
        """Return the content of a file, in chunks. Raises `UnknownObject` if it has expired."""
        if file.expires is not None and file.expires <= self._now():
            raise UnknownObject(f"File `{file.id}` has expired.", details={"error_code": "file_expired"})
        return self._contents.read(file.id)

    async def delete(self, identifier: str, owner: str) -> None:
        """Remove a file. Raises `UnknownObject`."""
        query = "DELETE FROM files WHERE id = ? AND owner = ?"
        if not await self._database.run(lambda connection: connection.execute(query, (identifier, owner)).rowcount):
            raise UnknownObject(f"File `{identifier[:80]}` not found.")
        await self._contents.delete(identifier)

    async def close(self) -> None:
        """Close the stores."""
        await self._database.close()
        await self._contents.close()

    def _insert(self, connection: Connection, file: StoredFile) -> None:
        connection.execute("DELETE FROM files WHERE id = ?", (file.id,))
        if not file.downloadable:
            self._check_room(_total(connection) + file.size)
        row = tuple(int(value) if isinstance(value, bool) else value for value in astuple(file))
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO files ({_COLUMNS}) VALUES ({marks})", row)

    def _check_room(self, total: int) -> None:
        if total > self._limit:
            reason = f"the files would take {total:,} bytes, and this server keeps at most {self._limit:,} (--files-limit)"
            raise InvalidRequest.at("file", reason, details={"error_code": "storage_quota_exceeded"})

    async def _sweep(self) -> None:
        """Remove the contents of files that have expired; what is known of them stays."""
        now = self._now()
        if now < self._swept + _SWEEP_S:
            return
        self._swept = now
        query = "UPDATE files SET swept = 1 WHERE swept = 0 AND expires <= ? RETURNING id"
        for (identifier,) in await self._database.run(lambda connection: connection.execute(query, (now,)).fetchall()):
            await self._contents.delete(identifier)


def _total(connection: Connection) -> int:
    (total,) = connection.execute("SELECT SUM(size) FROM files WHERE swept = 0").fetchone()
    return int(total or 0)


class _Measured:
    """Chunks that pass, with their size and digest."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._digest = sha256()
        self.size = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            self._digest.update(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()
