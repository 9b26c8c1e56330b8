"""Hands the requests of batches out to the gateways that answer them, and keeps their results.

A gateway claims a few requests for a time (a lease), and extends it while it works on them (a heartbeat). Of a gateway that
died the leases end, and others claim its requests. A result is kept only if its claim still holds the request, so that each
request has one. The clocks of gateways that share a database must agree within a few seconds.
"""

import itertools
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from typing import Final, NamedTuple

from dragoman.storage.batches.rows import Claimed, State, StoredBatch
from dragoman.storage.database import Connection, Database

LEASE_S: Final = 20.0
"""Seconds for which a claim holds unless it is extended."""
_MOST_CLAIMED: Final = 16
_FREE: Final = "state = 0 AND lease <= ?"
_NOWHERE: Final = Claimed("", 0, "", "", "")


class _Waiting(NamedTuple):
    """Waiting requests of one section, for one model."""

    batch: str
    model: str
    section: int


class BatchQueue:
    """The requests that wait, and those that this gateway holds. Every claim has a name of its own."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._gateway = secrets.token_hex(8)
        self._numbers = itertools.count()

    async def claim(self, lanes: int, models: Collection[str], last: Claimed = _NOWHERE) -> list[Claimed]:
        """Claim requests for one of these models, of the oldest batch that has some, next to each other in the order of work.

        They are of one section, and a small section is claimed as a whole, so that one slot computes its beginning once. The
        section is that of `last`, the request that the claiming lane answered last, whose beginning its slot has; else one
        that no lane works on. `lanes` is how many take requests at once: towards the end of a batch each gets fewer.
        """
        now = self._now()
        holder = f"{self._gateway}.{next(self._numbers)}"
        preferred = sorted(models, key=lambda model: model != last.model)

        def work(connection: Connection) -> list[Claimed]:
            found = _found(connection, preferred, last, now)
            if found is None:
                return []
            share = _share(connection, found, lanes, now)
            choose = (
                f"SELECT number FROM batched_requests WHERE batch = ? AND model = ? AND {_FREE} AND section = ?"
                f" ORDER BY place LIMIT ? {self._database.skip_locked}"
            )
            chosen = connection.execute(choose, (found.batch, found.model, now, found.section, share)).fetchall()
            if not chosen:  # other gateways are claiming them
                return []
            take = (
                f"UPDATE batched_requests SET holder = ?, lease = ? WHERE batch = ? AND {_FREE}"
                f" AND number IN ({_marks(chosen)}) RETURNING place, number, custom_id"
            )
            values = (holder, now + LEASE_S, found.batch, now, *(number for (number,) in chosen))
            taken = sorted(connection.execute(take, values).fetchall())
            return [
                Claimed(found.batch, number, custom_id, found.model, holder, found.section) for _, number, custom_id in taken
            ]

        return await self._database.run(work)

    async def begin(self, claimed: Claimed) -> tuple[StoredBatch, bytes] | None:
        """Return the batch and the body of a claimed request; None if it is not to be answered any more."""
        query = (
            f"SELECT {', '.join(f'batches.{field.name}' for field in fields(StoredBatch))}, body"
            " FROM batched_requests JOIN batches ON batches.id = batch"
            " WHERE batch = ? AND number = ? AND state = 0 AND holder = ? AND cancelled IS NULL AND expires > ?"
        )
        values = (claimed.batch, claimed.number, claimed.holder, self._now())
        row = await self._database.run(lambda connection: connection.execute(query, values).fetchone())
        return None if row is None else (StoredBatch(*row[:-1]), row[-1])

    async def finish(self, claimed: Claimed, state: State, result: bytes) -> bool:
        """Keep the result of a request, and remove its body. Return whether its claim still held it."""
        update = (
            "UPDATE batched_requests SET state = ?, result = ?, body = ?, holder = NULL"
            " WHERE batch = ? AND number = ? AND holder = ? AND state = 0"
        )
        values = (int(state), result, b"", claimed.batch, claimed.number, claimed.holder)
        return await self._database.run(lambda connection: connection.execute(update, values).rowcount > 0)

    async def release(self, claimed: Claimed, pause: float = 0.0) -> None:
        """Give a request back; it is claimed again after `pause` seconds."""
        update = (
            "UPDATE batched_requests SET holder = NULL, lease = ? WHERE batch = ? AND number = ? AND holder = ? AND state = 0"
        )
        values = (self._now() + pause, claimed.batch, claimed.number, claimed.holder)
        await self._database.run(lambda connection: connection.execute(update, values))

    async def extend(self, holders: Collection[str] = ()) -> None:
        """Extend the claims of this gateway with these names, and give back what its other claims hold."""
        holders = tuple(holders)  # the transaction runs later, in another thread
        held = f"holder IN ({_marks(holders)})"
        extended = f"UPDATE batched_requests SET lease = ? WHERE {held} AND state = 0"
        given_back = f"UPDATE batched_requests SET holder = NULL, lease = 0 WHERE holder LIKE ? AND NOT {held} AND state = 0"

        def work(connection: Connection) -> None:
            connection.execute(extended, (self._now() + LEASE_S, *holders))
            connection.execute(given_back, (f"{self._gateway}.%", *holders))

        await self._database.run(work)

    async def other_models(self, models: Collection[str]) -> list[str]:
        """Return the models but these that requests wait for."""
        query = (
            "SELECT DISTINCT model FROM batched_requests JOIN batches ON batches.id = batch"
            f" WHERE state = 0 AND ended IS NULL AND model NOT IN ({_marks(models)}) ORDER BY model"
        )
        rows = await self._database.run(lambda connection: connection.execute(query, tuple(models)).fetchall())
        return [model for (model,) in rows]


def _found(connection: Connection, models: Sequence[str], last: Claimed, now: float) -> _Waiting | None:
    """Return the section to claim of, if requests for these models wait."""
    oldest = (
        "SELECT id FROM batches WHERE ended IS NULL AND complete = 1 AND cancelled IS NULL AND expires > ? AND EXISTS"
        f" (SELECT 1 FROM batched_requests WHERE batch = id AND model IN ({_marks(models)}) AND {_FREE})"
        " ORDER BY created, id LIMIT 1"
    )
    found = connection.execute(oldest, (now, *models, now)).fetchone()
    if found is None:
        return None
    (batch,) = found
    for model in models:
        section = _section(connection, batch, model, last, now)
        if section is not None:
            return _Waiting(batch, model, section)
    return None


def _section(connection: Connection, batch: str, model: str, last: Claimed, now: float) -> int | None:
    """Return the section to claim of: that of `last`, else the first one that no lane works on, else the first one."""

    def first(condition: str, section: int) -> int | None:
        query = (
            f"SELECT section FROM batched_requests WHERE batch = ? AND model = ? AND {_FREE} AND section {condition} ?"
            " ORDER BY section LIMIT 1"
        )
        row = connection.execute(query, (batch, model, now, section)).fetchone()
        return None if row is None else int(row[0])

    if (last.batch, last.model) == (batch, model) and first("=", last.section) is not None:
        return last.section
    held = "SELECT DISTINCT section FROM batched_requests WHERE holder IS NOT NULL AND batch = ? AND lease > ? AND section > 0"
    worked_on = {section for (section,) in connection.execute(held, (batch, now)).fetchall()}
    lowest = found = first(">=", 0)
    while found is not None and found in worked_on:
        found = first(">", found)
    return lowest if found is None else found


def _share(connection: Connection, found: _Waiting, lanes: int, now: float) -> int:
    """Return how many requests of a section to claim."""
    waiting = f"SELECT number FROM batched_requests WHERE batch = ? AND model = ? AND {_FREE}"
    count = f"SELECT COUNT(*) FROM ({waiting} LIMIT ?) AS waiting"
    every: int
    together: int
    (every,) = connection.execute(count, (found.batch, found.model, now, 2 * lanes * _MOST_CLAIMED)).fetchone()
    count = f"SELECT COUNT(*) FROM ({waiting} AND section = ? LIMIT ?) AS waiting"
    (together,) = connection.execute(count, (found.batch, found.model, now, found.section, _MOST_CLAIMED + 1)).fetchone()
    return together if found.section and together <= _MOST_CLAIMED else max(1, -(-every // (2 * lanes)))


def _marks(values: Collection[object]) -> str:
    """Return the marks of a list of parameters; without any, a list of a text that nothing is."""
    return ", ".join("?" * len(values)) or "''"
