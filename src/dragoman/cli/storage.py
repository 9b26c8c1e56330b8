"""Where the server keeps things, by the options."""

import importlib.util
from typing import Final

from dragoman.cli.folders import data_folder
from dragoman.cli.options import Options
from dragoman.cli.usage_error import UsageError
from dragoman.storage.place import Place

_POSTGRES: Final = ("postgresql://", "postgres://")
_S3: Final = "s3://"


def place_of(options: Options) -> Place:
    """The place that the options name. Raises `UsageError` for a wrong URL, or if the library for it is not installed."""
    if options.database is not None:
        if not options.database.startswith(_POSTGRES):
            raise UsageError("--database is the URL of a Postgres database, such as postgresql://user@host/name.")
        _need("--database", "psycopg", "postgres")
    if options.files_store is not None:
        if not options.files_store.startswith(_S3) or not options.files_store.removeprefix(_S3).strip("/"):
            raise UsageError("--files-store is the URL of a bucket, such as s3://bucket/prefix.")
        _need("--files-store", "obstore", "s3")
    return Place(options.data_dir or data_folder(), options.database, options.files_store)


def _need(option: str, library: str, extra: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise UsageError(f"{option} needs {library}: install dragoman[{extra}].")
