"""Pages of a list of rows, ordered by the time of their creation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dragoman.storage.database import Connection, Row


class Position(NamedTuple):
    """The place of a row in the order of creation."""

    created: float
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """The rows that are asked for: at most `limit`, the newest first unless `oldest_first`.

    `after` or `before` is the row at which the page begins or ends: an id, or a position, whose row may be gone.
    """

    limit: int
    after: str | Position | None = None
    before: str | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows of a page, and whether the list goes on in the direction in which it was asked for."""

    rows: Sequence[Row]
    more: bool


_NOTHING = Listed((), more=False)


def listed(connection: Connection, query: str, parameters: Sequence[object], page: Page) -> Listed:
    """Return a page of the rows of `query`, a SELECT with a WHERE clause whose table has the columns `created` and `id`.

    It is empty if the row is not there at which it begins or ends.
    """
    edge = page.after if page.after is not None else page.before
    position: Position | None = None
    if isinstance(edge, str):
        found = connection.execute(f"SELECT created, id FROM ({query}) AS every WHERE id = ?", (*parameters, edge)).fetchone()
        if found is None:
            return _NOTHING
        position = Position(*found)
    else:
        position = edge
    rising = page.oldest_first is not (page.after is None and page.before is not None)
    order = "ASC" if rising else "DESC"
    bound = "" if position is None else f" AND (created, id) {'>' if rising else '<'} (?, ?)"
    every = connection.execute(
        f"{query}{bound} ORDER BY created {order}, id {order} LIMIT ?", (*parameters, *(position or ()), page.limit + 1)
    ).fetchall()
    rows = every[: page.limit]
    return Listed(rows if rising is page.oldest_first else rows[::-1], len(every) > page.limit)
