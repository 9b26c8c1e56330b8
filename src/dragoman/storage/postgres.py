"""A Postgres database, which several gateways share (`--database URL`)."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from dragoman.storage.database import Conflict, Connection, Cursor, Database, unusable

if TYPE_CHECKING:
    import psycopg

_CONNECT_S: Final = 10
_SCHEMA_LOCK: Final = 0x647261676F6D616E
"""The advisory lock of the process that creates tables: several gateways may start at once."""

_CREATED: Final = re.compile(r"CREATE (?:TABLE|INDEX) IF NOT EXISTS (\w+)")
_PRESENT: Final = "SELECT COUNT(DISTINCT relname) FROM pg_class WHERE relname = ANY(%s) AND pg_table_is_visible(oid)"

T = TypeVar("T")


class PostgresDatabase(Database):
    """A database at a URL, `postgresql://…`. `schema` creates what is missing in it.

    A connection that was lost is opened again by the next transaction.
    """

    skip_locked: ClassVar[str] = "FOR UPDATE SKIP LOCKED"

    def __init__(self, url: str, schema: str) -> None:
        super().__init__()
        self._url = url
        self._schema = schema
        self._connection: psycopg.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether it may hold anything: another gateway may have filled it."""
        return True

    def _transact(self, work: Callable[[Connection], T]) -> T:
        import psycopg  # noqa: PLC0415 -- an optional dependency
        from psycopg.errors import DeadlockDetected, SerializationFailure  # noqa: PLC0415

        try:
            connection = self._living()
            with connection.transaction():
                return work(_Translated(connection))
        except (DeadlockDetected, SerializationFailure) as error:
            raise Conflict(str(error)) from error
        except psycopg.Error as error:
            self._close()
            raise unusable(error) from error

    def _living(self) -> "psycopg.Connection":
        """Return a connection that works: the server may have restarted since the last transaction."""
        import psycopg  # noqa: PLC0415

        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
                return self._connection
            except psycopg.OperationalError:
                self._close()
        connection = psycopg.connect(self._url, connect_timeout=_CONNECT_S, autocommit=True)
        try:
            self._create_missing(connection)
        except psycopg.Error:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _create_missing(self, connection: "psycopg.Connection") -> None:
        """Create the tables and indexes that are not there.

        To create an index locks its table, even if the index exists, and so waits for the transactions of other gateways.
        """
        names = _CREATED.findall(self._schema)
        if connection.execute(_PRESENT, (names,)).fetchone() == (len(names),):
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            connection.execute(self._schema.encode())

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Translated:
    """A connection that takes `?` for parameters."""

    def __init__(self, connection: "psycopg.Connection") -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement."""
        return self._connection.execute(statement.replace("?", "%s").encode(), parameters)

    def executemany(self, statement: str, parameters: Any, /) -> None:
        """Run a statement once for each sequence of parameters."""
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s").encode(), parameters)
