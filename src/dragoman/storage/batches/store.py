"""Keeps batches, from their requests to their results."""

import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from itertools import islice
from typing import Final

from dragoman.errors import InvalidRequest, UnknownObject
from dragoman.storage.batches.queue import LEASE_S, BatchQueue
from dragoman.storage.batches.rows import BATCH_S, COLUMNS, MESSAGES, SCHEMA, NewRequest, Result, State, StoredBatch
from dragoman.storage.database import Connection, Row
from dragoman.storage.pages import Page, listed
from dragoman.storage.place import Place

FILE: Final = "batches.db"
RESULTS_S: Final = 29 * BATCH_S
"""Seconds for which the results of a batch are kept (BAT-7)."""
_ROWS: Final = 500
"""Requests that are kept in one transaction: between two, other work gets its turn."""
_UNFINISHED_S: Final = 3600.0
"""Seconds after which a batch that was never complete is removed: its gateway died while it kept the requests."""
_RESULTS: Final = 100
"""Results that are read at once."""

_SELECT: Final = f"SELECT {COLUMNS} FROM batches WHERE"
_OWNED: Final = f"{_SELECT} complete = 1 AND owner = ?"
_OVER: Final = "UPDATE batched_requests SET state = ?, body = ?, holder = NULL WHERE state = 0 AND lease <= ? AND batch IN"


class BatchStore:
    """The kept batches; `queue` hands their requests out."""

    def __init__(self, place: Place, now: Callable[[], float] = time.time) -> None:
        self._database = place.tables(FILE, SCHEMA)
        self._now = now
        self.queue = BatchQueue(self._database, now)

    @property
    def exists(self) -> bool:
        """Whether there may be batches."""
        return self._database.exists

    async def add(self, batch: StoredBatch, requests: Iterable[NewRequest]) -> StoredBatch:
        """Keep a batch, which is worked off once all of its requests are kept. `requests` are read in another thread."""
        row = [getattr(batch, field.name) for field in fields(StoredBatch)]
        marks = ", ".join("?" * len(row))
        insert = f"INSERT INTO batches ({COLUMNS}, complete) VALUES ({marks}, 0)"
        await self._database.run(lambda connection: connection.execute(insert, row))
        left, total = iter(requests), 0
        while some := await to_thread(lambda: list(islice(left, _ROWS))):
            await self._database.run(partial(_add, batch=batch.id, requests=some))
            total += len(some)
        complete = f"UPDATE batches SET complete = 1, total = ? WHERE id = ? RETURNING {COLUMNS}"
        row = await self._database.run(lambda connection: connection.execute(complete, (total, batch.id)).fetchone())
        return StoredBatch(*row)

    async def find(self, identifier: str, owner: str) -> StoredBatch:
        """Return a batch. Raises `UnknownObject`."""
        query = f"{_OWNED} AND id = ?"
        row = await self._database.run(lambda connection: connection.execute(query, (owner, identifier)).fetchone())
        if row is None:
            raise UnknownObject(f"there is no batch {identifier[:80]}")
        return StoredBatch(*row)

    async def page(self, owner: str, page: Page, *, messages: bool) -> tuple[list[StoredBatch], bool]:
        """Return a page of the batches of one API, and whether there are more; `messages`: those of the Messages API."""
        query = f"{_OWNED} AND endpoint {'=' if messages else '<>'} '{MESSAGES}'"
        found = await self._database.run(lambda connection: listed(connection, query, (owner,), page))
        return [StoredBatch(*row) for row in found.rows], found.more

    async def cancel(self, identifier: str, owner: str) -> StoredBatch:
        """Cancel a batch: no request of it begins any more. One that has ended stays as it is. Raises `UnknownObject`."""
        update = "UPDATE batches SET cancelled = ? WHERE id = ? AND owner = ? AND ended IS NULL AND cancelled IS NULL"
        values = (self._now(), identifier, owner)
        await self._database.run(lambda connection: connection.execute(update, values))
        return await self.find(identifier, owner)

    async def delete(self, identifier: str, owner: str) -> None:
        """Remove a batch that has ended. Raises `UnknownObject`, `InvalidRequest` (BAT-7)."""
        batch = await self.find(identifier, owner)
        if batch.ended is None:
            raise InvalidRequest(f"the batch {batch.id} has not ended: cancel it first, and delete it when it has ended")
        await self._database.run(lambda connection: _remove(connection, "id = ?", (batch.id,)))

    async def sweep(self) -> None:
        """End the requests of cancelled and expired batches that no gateway answers, and remove what is too old."""
        now = self._now()
        cancelled = f"{_OVER} (SELECT id FROM batches WHERE ended IS NULL AND cancelled IS NOT NULL)"
        expired = f"{_OVER} (SELECT id FROM batches WHERE ended IS NULL AND cancelled IS NULL AND expires <= ?)"

        def work(connection: Connection) -> None:
            connection.execute(cancelled, (int(State.CANCELED), b"", now))
            connection.execute(expired, (int(State.EXPIRED), b"", now, now))
            _remove(connection, "complete = 0 AND created < ?", (now - _UNFINISHED_S,))
            old = "SELECT id FROM batches WHERE archived IS NULL AND ended IS NOT NULL AND created < ?"
            for (batch,) in connection.execute(old, (now - RESULTS_S,)).fetchall():
                connection.execute("DELETE FROM batched_requests WHERE batch = ?", (batch,))
                connection.execute("UPDATE batches SET archived = ? WHERE id = ?", (now, batch))

        await self._database.run(work)

    async def take_ending(self) -> StoredBatch | None:
        """Return a batch whose requests have all ended, for this gateway to end; None if there is none."""
        now = self._now()
        query = (
            "SELECT id FROM batches WHERE ended IS NULL AND complete = 1 AND lease <= ? AND NOT EXISTS"
            f" (SELECT 1 FROM batched_requests WHERE batch = id AND state = 0) LIMIT 1 {self._database.skip_locked}"
        )
        update = f"UPDATE batches SET lease = ? WHERE id = ? AND lease <= ? RETURNING {COLUMNS}"

        def work(connection: Connection) -> Row | None:
            found = connection.execute(query, (now,)).fetchone()
            row: Row | None = found and connection.execute(update, (now + LEASE_S, *found, now)).fetchone()
            return row

        row = await self._database.run(work)
        return None if row is None else StoredBatch(*row)

    async def counts(self, identifier: str) -> dict[State, int]:
        """Return the number of requests of a batch in each state."""
        query = "SELECT state, COUNT(*) FROM batched_requests WHERE batch = ? GROUP BY state"
        rows = await self._database.run(lambda connection: connection.execute(query, (identifier,)).fetchall())
        return {State(state): count for state, count in rows}

    async def waiting(self, identifiers: Sequence[str]) -> dict[str, int]:
        """Return the number of requests without a result, of each of the batches that has some."""
        if not identifiers:
            return {}
        marks = ", ".join("?" * len(identifiers))
        query = f"SELECT batch, COUNT(*) FROM batched_requests WHERE batch IN ({marks}) AND state = 0 GROUP BY batch"
        rows = await self._database.run(lambda connection: connection.execute(query, identifiers).fetchall())
        return {batch: int(count) for batch, count in rows}

    async def end(self, batch: StoredBatch, details: bytes) -> None:
        """End a batch whose requests have all ended, with new details."""
        counts = await self.counts(batch.id)
        ended = (State.SUCCEEDED, State.ERRORED, State.CANCELED, State.EXPIRED)
        update = (
            "UPDATE batches SET ended = ?, details = ?, succeeded = ?, errored = ?, canceled = ?, expired = ?"
            " WHERE id = ? AND ended IS NULL"
        )
        values = (self._now(), details, *(counts.get(state, 0) for state in ended), batch.id)
        await self._database.run(lambda connection: connection.execute(update, values))

    async def all_results(self, batch: StoredBatch) -> AsyncIterator[Sequence[Result]]:
        """Yield the results of a batch in their order, some at a time."""
        number = -1
        while results := await self.results(batch.id, number, _RESULTS):
            yield results
            number = results[-1].number

    async def results(self, identifier: str, after: int, limit: int) -> list[Result]:
        """Return at most `limit` results of a batch, those with a number above `after`, in their order."""
        query = (
            "SELECT number, custom_id, state, result FROM batched_requests"
            " WHERE batch = ? AND number > ? AND state <> 0 ORDER BY number LIMIT ?"
        )
        rows = await self._database.run(lambda connection: connection.execute(query, (identifier, after, limit)).fetchall())
        return [Result(number, custom_id, State(state), result) for number, custom_id, state, result in rows]

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()


def _add(connection: Connection, batch: str, requests: Sequence[NewRequest]) -> None:
    connection.executemany(
        "INSERT INTO batched_requests (batch, number, place, section, model, custom_id, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (batch, request.number, request.place, request.section, request.model, request.custom_id, request.body)
            for request in requests
        ],
    )


def _remove(connection: Connection, condition: str, values: Sequence[object]) -> None:
    """Remove the batches that a condition holds for, with their requests."""
    batches = f"SELECT id FROM batches WHERE {condition}"
    connection.execute(f"DELETE FROM batched_requests WHERE batch IN ({batches})", values)
    connection.execute(f"DELETE FROM batches WHERE {condition}", values)
