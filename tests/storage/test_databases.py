"""Databases: transactions that give way to others are run again, and tables that exist are left alone."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from dragoman.errors import StorageFailed
from dragoman.storage import database, sqlite
from dragoman.storage.database import Connection, Database
from dragoman.storage.postgres import PostgresDatabase
from dragoman.storage.sqlite import SqliteDatabase
from storage.conftest import new_database

SCHEMA = """
CREATE TABLE IF NOT EXISTS things (id TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS things_value ON things (value);
"""
ADD = "UPDATE things SET value = value + 1 WHERE id = ?"


@contextmanager
def opened(place: str | Path) -> Iterator[Database]:
    """A database at a URL or in a file, which is closed at the end."""
    database = PostgresDatabase(place, SCHEMA) if isinstance(place, str) else SqliteDatabase(place, SCHEMA)
    yield database
    database._close()


def fill(connection: Connection) -> None:
    connection.executemany("INSERT INTO things VALUES (?, 0)", [("a",), ("b",)])


def values(connection: Connection) -> list[int]:
    return [value for (value,) in connection.execute("SELECT value FROM things ORDER BY id").fetchall()]


def run_with(database: Database, statement: str, *parameters: str) -> None:
    database.run_here(lambda connection: connection.execute(statement, parameters))


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A file that another process is writing to."""
    monkeypatch.setattr(sqlite, "_PATIENCE_S", 0.01)
    file = tmp_path / "things.db"
    with opened(file) as mine:
        mine.run_here(fill)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    yield file, other
    other.close()


def pausing(monkeypatch: pytest.MonkeyPatch, after: Callable[[int], object]) -> list[float]:
    """Call `after` with the number of the pause in place of pausing; the pauses."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        after(len(pauses))

    monkeypatch.setattr(database, "time", SimpleNamespace(sleep=pause))
    return pauses


def test_a_transaction_is_run_again_if_the_file_was_locked(
    locked: tuple[Path, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = locked
    pauses = pausing(monkeypatch, lambda number: other.rollback() if number == 2 else None)
    with opened(file) as mine:
        run_with(mine, ADD, "a")
        assert (len(pauses), mine.run_here(values)) == (2, [1, 0])


def test_a_file_that_stays_locked_is_an_error(locked: tuple[Path, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    file, other = locked
    pauses = pausing(monkeypatch, lambda _: None)
    with opened(file) as mine:
        with pytest.raises(StorageFailed):
            run_with(mine, ADD, "a")
        assert len(pauses) == 3
        other.rollback()
        run_with(mine, ADD, "a")


def test_an_error_of_another_kind_is_raised_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = pausing(monkeypatch, lambda _: None)
    with opened(tmp_path / "things.db") as mine, pytest.raises(StorageFailed):
        run_with(mine, "SELECT nothing")
    assert pauses == []


@pytest.fixture
def url(postgres: str) -> str:
    found = new_database(postgres)
    with opened(found) as mine:
        mine.run_here(fill)
    return found


@pytest.mark.slow
def test_a_transaction_that_postgres_ends_because_of_a_deadlock_is_run_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both, tries, other_done = threading.Barrier(2), [], threading.Event()
    pauses = pausing(monkeypatch, lambda _: other_done.wait(20))  # otherwise it could overtake the other, and give way again

    def work(first: str, second: str) -> None:
        def add(connection: Connection) -> None:
            tries.append(first)
            connection.execute(ADD, (first,))
            if tries.count(first) == 1:
                both.wait(20)
            connection.execute(ADD, (second,))

        with opened(url) as mine:
            mine.run_here(add)
            other_done.set()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(work, *"ab"), threads.submit(work, *"ba")]:
            done.result()
    with opened(url) as mine:
        assert (len(pauses), len(tries), mine.run_here(values)) == (1, 3, [2, 2])


@pytest.mark.slow
def test_a_transaction_that_postgres_cannot_serialize_is_run_again(url: str) -> None:
    tries: list[int] = []

    def add(connection: Connection) -> None:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        tries.append(values(connection)[0])
        if len(tries) == 1:
            with opened(url) as other:
                run_with(other, ADD, "a")
        connection.execute(ADD, ("a",))

    with opened(url) as mine:
        mine.run_here(add)
        assert (tries, mine.run_here(values)) == ([0, 1], [2, 0])


@pytest.mark.slow
def test_a_new_connection_does_not_wait_for_the_transactions_of_others(url: str) -> None:
    limited = f"{url}?options=-c%20lock_timeout%3D2000"

    def add(connection: Connection) -> list[int]:
        connection.execute(ADD, ("a",))
        with opened(limited) as other:
            return other.run_here(values)

    with opened(url) as mine:
        assert mine.run_here(add) == [0, 0]


@pytest.mark.slow
def test_what_is_missing_of_a_schema_is_created(url: str) -> None:
    with opened(url) as other:
        run_with(other, "DROP INDEX things_value")
    with opened(url) as mine:
        found = mine.run_here(lambda connection: connection.execute("SELECT to_regclass('things_value')::text").fetchone())
        assert (found, mine.run_here(values)) == (("things_value",), [0, 0])
