"""Keeps responses, so that later requests can continue them, and clients can retrieve them.

A response is kept with the items of its own request; the items before these are those of the response that it continues. What
was not used for long is removed, and what was used least recently when there is too much. Using a response counts as using all
that it continues.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dragoman.storage.database import Database

FILE: Final = "responses.db"
LIMIT: Final = 10**9
"""The most bytes of responses, by default."""
AGE_S: Final = 30 * 86_400.0
"""Seconds after its last use for which a response is kept, by default."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, previous TEXT, used REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS responses_used ON responses (used, size);
CREATE TABLE IF NOT EXISTS items (
    response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    place INTEGER NOT NULL, output INTEGER NOT NULL, id TEXT NOT NULL, item BLOB NOT NULL,
    PRIMARY KEY (response, place)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_id ON items (id);
"""
_CHAIN: Final = """
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM responses WHERE id = :id AND owner = :owner
    UNION ALL
    SELECT earlier.id, earlier.previous, depth + 1 FROM responses AS earlier JOIN chain ON earlier.id = chain.previous
    WHERE earlier.owner = :owner AND depth < 100000
)
SELECT id, previous FROM chain ORDER BY depth DESC
"""
"""The responses that a response continues, oldest first, and the response."""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item with its JSON text."""

    id: str
    item: bytes


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response: the JSON text of its `body` without its output, the items of its own request, and its output.

    `owner` is the name of the key of its request; only requests with the same key find it. `previous` is the id of the response
    that it continues.
    """

    id: str
    owner: str
    previous: str | None
    body: bytes
    given: Sequence[StoredItem]
    output: Sequence[StoredItem]

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return len(self.body) + sum(len(item.item) for item in (*self.given, *self.output))


class ResponseStore:
    """The kept responses, below `folder`, or in memory if that is None. `limit` is in bytes; with 0, nothing is kept."""

    def __init__(
        self, folder: Path | None = None, limit: int = LIMIT, age: float | None = AGE_S, now: Callable[[], float] = time.time
    ) -> None:
        self._database = Database(folder / FILE if folder else None, _SCHEMA)
        self._limit = limit
        self._age = age
        self._now = now

    @property
    def keeps(self) -> bool:
        """Whether responses are kept at all."""
        return self._limit > 0

    async def save(self, response: StoredResponse) -> None:
        """Keep a response, and remove others to make room. Raises `sqlite3.Error`, `OSError`."""
        items = [(place, 0, item) for place, item in enumerate(response.given)]
        items += [(place, 1, item) for place, item in enumerate(response.output, len(items))]
        row = (response.id, response.owner, response.previous, self._now(), response.size, response.body)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)",
                ((response.id, place, output, item.id, item.item) for place, output, item in items),
            )
            self._make_room(connection)

        await self._database.run(work)

    async def find(self, identifier: str, owner: str) -> StoredResponse | None:
        """Return a response; None if it is not kept."""

        def work(connection: sqlite3.Connection) -> StoredResponse | None:
            query = "SELECT previous, body FROM responses WHERE id = ? AND owner = ?"
            found = connection.execute(query, (identifier, owner)).fetchone()
            if found is None:
                return None
            rows = connection.execute(
                "SELECT output, id, item FROM items WHERE response = ? ORDER BY place", (identifier,)
            ).fetchall()
            given, output = ([StoredItem(name, item) for kind, name, item in rows if kind == wanted] for wanted in (0, 1))
            previous, body = found
            return StoredResponse(identifier, owner, previous, body, given, output)

        return await self._database.run(work)

    async def history(self, identifier: str, owner: str, *, output: bool = True) -> Sequence[StoredItem] | None:
        """Return the items of a response and of all that it continues, oldest first; None if one of them is not kept.

        Without `output` its own output is left out: these are the items from which it was generated.
        """

        def work(connection: sqlite3.Connection) -> Sequence[StoredItem] | None:
            links = connection.execute(_CHAIN, {"id": identifier, "owner": owner}).fetchall()
            if not links or links[0][1] is not None:
                return None
            connection.executemany("UPDATE responses SET used = ? WHERE id = ?", ((self._now(), link[0]) for link in links))
            query = "SELECT id, item FROM items WHERE response = ? AND output <= ? ORDER BY place"
            wanted = ((link[0], int(output or link[0] != identifier)) for link in links)
            return [StoredItem(*row) for pair in wanted for row in connection.execute(query, pair)]

        return await self._database.run(work)

    async def items(self, identifiers: Iterable[str], owner: str) -> Mapping[str, bytes]:
        """Return the items with these ids that are kept."""
        query = "SELECT item FROM items JOIN responses ON responses.id = response WHERE items.id = ? AND owner = ? LIMIT 1"

        def work(connection: sqlite3.Connection) -> Mapping[str, bytes]:
            rows = ((name, connection.execute(query, (name, owner)).fetchone()) for name in identifiers)
            return {name: row[0] for name, row in rows if row is not None}

        return await self._database.run(work)

    async def delete(self, identifier: str, owner: str) -> bool:
        """Remove a response and its items; return whether it was there."""
        query = "DELETE FROM responses WHERE id = ? AND owner = ?"
        return await self._database.run(lambda connection: connection.execute(query, (identifier, owner)).rowcount > 0)

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Remove what is too old, and the least recently used responses until the rest is within the limit."""
        if self._age is not None:
            connection.execute("DELETE FROM responses WHERE used < ?", (self._now() - self._age,))
        (total,) = connection.execute("SELECT SUM(size) FROM responses").fetchone()
        if (total or 0) > self._limit:
            connection.execute(
                "DELETE FROM responses WHERE id IN (SELECT id FROM"
                " (SELECT id, SUM(size) OVER (ORDER BY used DESC, id) AS total FROM responses) WHERE total > ?)",
                (self._limit,),
            )
