"""Keeps responses, so that later requests can continue them, and clients can retrieve them.

A response is kept with the items of its own request; the items before these are those of the response that it continues. What
was not used for long is removed, and what was used least recently when there is too much. Using a response counts as using all
that it continues.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dragoman.storage.database import Connection
from dragoman.storage.place import IN_MEMORY, Place

FILE: Final = "responses.db"
LIMIT: Final = 10**9
"""The most bytes of responses, by default."""
AGE_S: Final = 30 * 86_400.0
"""Seconds after its last use for which a response is kept, by default."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, previous TEXT, used DOUBLE PRECISION NOT NULL,
    size BIGINT NOT NULL, body BYTEA NOT NULL
);
CREATE INDEX IF NOT EXISTS responses_used ON responses (used, size);
CREATE TABLE IF NOT EXISTS items (
    response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    place INTEGER NOT NULL, output INTEGER NOT NULL, id TEXT NOT NULL, item BYTEA NOT NULL,
    PRIMARY KEY (response, place)
);
CREATE INDEX IF NOT EXISTS items_id ON items (id);
CREATE TABLE IF NOT EXISTS response_events (
    response TEXT PRIMARY KEY REFERENCES responses (id) ON DELETE CASCADE, content BYTEA NOT NULL
);
"""
_CHAIN: Final = """
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM responses WHERE id = ? AND owner = ?
    UNION ALL
    SELECT earlier.id, earlier.previous, depth + 1 FROM responses AS earlier JOIN chain ON earlier.id = chain.previous
    WHERE earlier.owner = ? AND depth < 100000
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
    that it continues. `events` are those of its stream, in a form of the caller's; only `ResponseStore.events` returns them.
    """

    id: str
    owner: str
    previous: str | None
    body: bytes
    given: Sequence[StoredItem]
    output: Sequence[StoredItem]
    events: bytes = b""

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return len(self.body) + len(self.events) + sum(len(item.item) for item in (*self.given, *self.output))


class ResponseStore:
    """The kept responses. `limit` is in bytes; with 0, nothing is kept."""

    def __init__(
        self, place: Place = IN_MEMORY, limit: int = LIMIT, age: float | None = AGE_S, now: Callable[[], float] = time.time
    ) -> None:
        self._database = place.tables(FILE, _SCHEMA)
        self._limit = limit
        self._age = age
        self._now = now

    @property
    def keeps(self) -> bool:
        """Whether responses are kept at all."""
        return self._limit > 0

    async def save(self, response: StoredResponse) -> None:
        """Keep a response, and remove others to make room. Raises `StorageFailed`."""
        items = [(place, 0, item) for place, item in enumerate(response.given)]
        items += [(place, 1, item) for place, item in enumerate(response.output, len(items))]
        row = (response.id, response.owner, response.previous, self._now(), response.size, response.body)

        def work(connection: Connection) -> None:
            connection.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)",
                ((response.id, place, output, item.id, item.item) for place, output, item in items),
            )
            connection.execute("INSERT INTO response_events VALUES (?, ?)", (response.id, response.events))
            self._make_room(connection)

        await self._database.run(work)

    async def find(self, identifier: str, owner: str) -> StoredResponse | None:
        """Return a response; None if it is not kept."""

        def work(connection: Connection) -> StoredResponse | None:
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

    async def events(self, identifier: str, owner: str) -> bytes | None:
        """Return the events of a response; None if it is not kept."""
        query = "SELECT content FROM response_events JOIN responses ON responses.id = response WHERE response = ? AND owner = ?"

        def work(connection: Connection) -> bytes | None:
            found = connection.execute(query, (identifier, owner)).fetchone()
            return None if found is None else bytes(found[0])

        return await self._database.run(work)

    async def history(self, identifier: str, owner: str, *, output: bool = True) -> Sequence[StoredItem] | None:
        """Return the items of a response and of all that it continues, oldest first; None if one of them is not kept.

        Without `output` its own output is left out: these are the items from which it was generated.
        """

        def work(connection: Connection) -> Sequence[StoredItem] | None:
            links = connection.execute(_CHAIN, (identifier, owner, owner)).fetchall()
            if not links or links[0][1] is not None:
                return None
            connection.executemany("UPDATE responses SET used = ? WHERE id = ?", ((self._now(), link[0]) for link in links))
            query = "SELECT id, item FROM items WHERE response = ? AND output <= ? ORDER BY place"
            wanted = ((link[0], int(output or link[0] != identifier)) for link in links)
            return [StoredItem(*row) for pair in wanted for row in connection.execute(query, pair)]

        return await self._database.run(work)

    async def items(self, identifiers: Collection[str], owner: str) -> Mapping[str, bytes]:
        """Return the items with these ids that are kept."""
        query = "SELECT item FROM items JOIN responses ON responses.id = response WHERE items.id = ? AND owner = ? LIMIT 1"

        def work(connection: Connection) -> Mapping[str, bytes]:
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

    def _make_room(self, connection: Connection) -> None:
        """Remove what is too old, and the least recently used responses until the rest is within the limit."""
        if self._age is not None:
            connection.execute("DELETE FROM responses WHERE used < ?", (self._now() - self._age,))
        (total,) = connection.execute("SELECT SUM(size) FROM responses").fetchone()
        if (total or 0) > self._limit:
            connection.execute(
                "DELETE FROM responses WHERE id IN (SELECT id FROM"
                " (SELECT id, SUM(size) OVER (ORDER BY used DESC, id) AS total FROM responses) AS newest WHERE total > ?)",
                (self._limit,),
            )
