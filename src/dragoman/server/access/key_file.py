"""The file of several API keys (`--keys FILE`): TOML, one table for each key, whose name is the name of the table."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from dragoman.server.access.rate_limits import Kind
from dragoman.toml_tables import UnusableFile, read_tables

_NAME: Final = re.compile(r"[\w.@-]{1,64}")
_SECRET: Final = re.compile(r"[!-~]+")
_Limit = Annotated[int, Meta(ge=1)] | None


class KeyEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """The table of one key; with `inspects_all` the page shows its holder the requests of all keys."""

    key: str
    requests_per_minute: _Limit = None
    tokens_per_minute: _Limit = None
    input_tokens_per_minute: _Limit = None
    output_tokens_per_minute: _Limit = None
    inspects_all: bool = False

    @property
    def limits(self) -> dict[Kind, int]:
        """The limits that are set, per minute."""
        values = {kind: getattr(self, f"{kind.replace('-', '_')}_per_minute") for kind in Kind}
        return {kind: value for kind, value in values.items() if value is not None}


def read_keys(file: Path) -> Mapping[str, KeyEntry]:
    """Return the keys in a file, by their names. Raises `UnusableFile`, whose message contains no key."""
    _, tables = read_tables(file)
    if not tables:
        raise UnusableFile(f'{file} contains no key; a key is a table: [name], key = "…"')
    entries: dict[str, KeyEntry] = {}
    names: dict[str, str] = {}
    for name, table in tables.items():
        entries[name] = entry = _entry(f"{file}: [{name}]", name, table)
        if (other := names.setdefault(entry.key, name)) != name:
            raise UnusableFile(f"{file}: [{name}] has the same key as [{other}]")
    return entries


def _entry(place: str, name: str, table: object) -> KeyEntry:
    if not _NAME.fullmatch(name):
        raise UnusableFile(f"{place}: a name has up to 64 letters, digits and characters of _ . @ -")
    try:
        entry = msgspec.convert(table, KeyEntry)
    except msgspec.ValidationError as error:
        raise UnusableFile(f"{place}: {error}") from error
    if not _SECRET.fullmatch(entry.key):
        raise UnusableFile(f"{place}: a key has at least one character, and only printable ASCII characters without spaces")
    return entry
