"""The file of several models (`--models FILE`): TOML, one table for each model, whose name is the name of the table.

[big]
source = "hf:unsloth/gpt-oss-20b-GGUF:Q4_K_M"
keep_alive = "30m"

[small]
source = "models/small.gguf"     # relative to the file
tier = "haiku"
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from dragoman.cli.durations import parse_keep_alive
from dragoman.cli.options import GPU_LAYERS
from dragoman.cli.sizes import parsed
from dragoman.cli.speculate import WORDS
from dragoman.models.resolve import DEFAULT, HUB_PREFIX, NO_PROJECTOR
from dragoman.toml_tables import UnusableFile, read_tables

_TIER: Final = re.compile(r"[a-z]+")
_HEADER: Final = re.compile(r"\s*\[\s*(?P<name>[^\[\]]+?)\s*\]")
_FIELD: Final = re.compile(r"unknown field `(?P<unknown>[^`]+)`|at `\$\.(?P<wrong>\w+)")


class ModelTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table of one model; what is None is as on the command line."""

    source: str | None = None
    engine: str | None = None
    url: str | None = None
    key: str | None = None
    tokenizer: str | None = None
    script: str | None = None
    aliases: Sequence[str] = ()
    tier: str | Sequence[str] = ()
    display_name: str | None = None
    dialect: str | None = None
    window: Annotated[int, Meta(ge=16)] | None = None
    parallel: Annotated[int, Meta(ge=1)] | None = None
    mmproj: str | None = None
    llama_server: str | None = None
    gpu_layers: int | str | None = None
    threads: Annotated[int, Meta(ge=1)] | None = None
    speculate: str | None = None
    args: Sequence[str] = ()
    memory: int | str | None = None
    keep_alive: int | str | None = None
    pinned: bool = False
    preload: bool = False

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers, one or several."""
        return (self.tier,) if isinstance(self.tier, str) else tuple(self.tier)

    @property
    def layers(self) -> str | None:
        """The layers on GPUs, as the command line has them."""
        return None if self.gpu_layers is None else str(self.gpu_layers)


def read_models(file: Path) -> Mapping[str, ModelTable]:
    """Return the models in a file, by their names and in its order; paths are made absolute. Raises `UnusableFile`."""
    text, tables = read_tables(file)
    if not tables:
        raise UnusableFile(f'{file} contains no model; a model is a table: [name], source = "…"')
    return {name: _table(file, text, name, table) for name, table in tables.items()}


def _table(file: Path, text: str, name: str, table: object) -> ModelTable:
    try:
        read = msgspec.convert(table, ModelTable)
        _check(read)
    except (msgspec.ValidationError, ValueError) as error:
        found = _FIELD.search(str(error))
        field = (found["unknown"] or found["wrong"]) if found else str(error).partition(":")[0]
        reason = f"unknown key {field!r}" if found and found["unknown"] else str(error)
        raise UnusableFile(f"{file}, line {_line(text, name, field)}: [{name}]: {reason}") from error
    paths: dict[str, Any] = {
        name: str(file.parent / value)
        for name, value in (
            ("source", read.source if _is_path(read) else None),
            ("speculate", None if read.speculate in WORDS or _is_name(read.speculate) else read.speculate),
            ("script", read.script),
            ("mmproj", None if read.mmproj == NO_PROJECTOR else read.mmproj),
            ("llama_server", read.llama_server if "/" in (read.llama_server or "") else None),
        )
        if value is not None
    }
    return msgspec.structs.replace(read, **paths)


def _is_path(table: ModelTable) -> bool:
    """Whether the source is a path, not a name of the Hub or of another engine's model."""
    return table.engine is None and not _is_name(table.source)


def _is_name(model: str | None) -> bool:
    """Whether it names a model otherwise than by a path."""
    return model is None or model == DEFAULT or model.startswith(HUB_PREFIX)


def _check(table: ModelTable) -> None:
    """Raise `ValueError`, which begins with the name of a key, for a value that cannot be used."""
    if table.source is None and table.url is None and table.script is None:
        raise ValueError("source: a model has a source, or an engine and its url")
    if table.url is not None and table.engine is None:
        raise ValueError("engine: the engine at the url is named, such as vllm")
    if table.layers is not None and not GPU_LAYERS.fullmatch(table.layers):
        raise ValueError("gpu_layers: it is a number of layers, or auto, or all")
    if not all(_TIER.fullmatch(tier) for tier in table.tiers):
        raise ValueError("tier: a tier is a word of Anthropic's model names, such as haiku")
    if table.keep_alive is not None:
        keep_alive(table)
    if isinstance(table.memory, str) and parsed(table.memory) is None:
        raise ValueError(f"memory: {table.memory!r} is not a size such as 20GB")


def keep_alive(table: ModelTable) -> float | None:
    """The seconds of idleness after which a model is unloaded; None for never. Raises `ValueError`."""
    try:
        return parse_keep_alive(str(table.keep_alive))
    except ValueError as error:
        raise ValueError(f"keep_alive: {error}") from error


def memory(table: ModelTable) -> int | None:
    """The bytes that a model takes, if the file says."""
    return parsed(table.memory) if isinstance(table.memory, str) else table.memory


def _line(text: str, table: str, key: str) -> int:
    """The line, from 1, of a key in a table; that of the table's header where the key is not at the beginning of a line."""
    header, current = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADER.match(line):
            current = found["name"].strip("\"'")
            header = number if current == table else header
        elif current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return header
