"""Where the server keeps things: a database and a store of contents, by the operator's settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dragoman.storage.contents import Contents, FolderContents
from dragoman.storage.database import Database
from dragoman.storage.postgres import PostgresDatabase
from dragoman.storage.s3 import S3Contents
from dragoman.storage.sqlite import SqliteDatabase


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are kept: below `folder`, None: in memory, for this process only.

    `database` is the URL of a Postgres database, and `files` that of an S3-compatible store: these take the folder's place.
    """

    folder: Path | None = None
    database: str | None = None
    files: str | None = None

    def tables(self, file: str, schema: str) -> Database:
        """Return the database of one store; `file` is its name below the folder."""
        if self.database is not None:
            return PostgresDatabase(self.database, schema)
        return SqliteDatabase(self.folder / file if self.folder else None, schema)

    def contents(self) -> Contents:
        """Return the store of the contents of files."""
        if self.files is not None:
            return S3Contents(self.files)
        return FolderContents(self.folder / "files" if self.folder else None)


IN_MEMORY: Final = Place()
