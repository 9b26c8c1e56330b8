"""The models that `dragoman serve` is to have: one, one and a small one, or those of a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dragoman.cli import models_file
from dragoman.cli.engines import ENGINES, LLAMACPP, VLLM
from dragoman.cli.models_file import ModelTable, read_models
from dragoman.cli.options import Options
from dragoman.cli.speculate import AUTO, without_draft
from dragoman.cli.usage_error import UsageError
from dragoman.toml_tables import UnusableFile

_SMALL_TIER: Final = "haiku"
_OF_ONE_MODEL: Final[dict[str, Any]] = {
    "mmproj": None,
    "engine_url": None,
    "engine_key": None,
    "tokenizer": None,
    "script": None,
    "dialect": None,
    "tool_call_parser": None,
    "reasoning_parser": None,
    "context_length": None,
    "parallel": None,
    "engine_args": (),
    "aliases": (),
}
"""The options that concern the one MODEL of the command line, and what they are for another model."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model and its options, as if it were served alone. `memory` is what it takes in bytes, None if that is estimated."""

    options: Options
    id: str | None = None
    tiers: tuple[str, ...] = ()
    display_name: str | None = None
    memory: int | None = None
    keep_alive: float | None = None
    pinned: bool = False
    preload: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the embedded engine serves it from a file."""
        return self.options.engine == LLAMACPP

    @property
    def is_vllm(self) -> bool:
        """Whether vLLM serves it."""
        return self.options.engine == VLLM

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Say in a `UsageError` which model of a file it concerns."""
        try:
            yield
        except UsageError as error:
            if self.options.models is None:
                raise
            raise UsageError(f"--models: {self.options.models}: [{self.id}]: {error}") from error


def served_models(options: Options) -> list[Served]:
    """The models, the default one first. Raises `UsageError` for options that exclude each other."""
    models = list(_of_file(options) if options.models else _of_command_line(options))
    for model in models:
        with model.placed():
            _check(model.options)
        if options.workers > 1 and (model.is_file or (model.is_vllm and not model.options.engine_url)):
            raise UsageError("--workers needs a remote engine: give --engine-url URL.")
    return models


def _of_command_line(options: Options) -> Iterator[Served]:
    yield Served(options, keep_alive=options.keep_alive)
    if options.small:
        speculate = without_draft(options.speculate)
        small = replace(options, **_OF_ONE_MODEL, model=options.small, engine=LLAMACPP, speculate=speculate)
        yield Served(small, tiers=(_SMALL_TIER,), keep_alive=options.keep_alive, preload=True)


def _of_file(options: Options) -> Iterator[Served]:
    assert options.models is not None
    of_one_model = {
        **{name: getattr(options, name) != usual for name, usual in _OF_ONE_MODEL.items()},
        "model": options.model,
        "small": options.small,
        "engine": options.engine != LLAMACPP,
        "speculate": options.speculate != without_draft(options.speculate),
    }
    if given := [name for name, is_given in of_one_model.items() if is_given]:
        shown = {
            "model": "MODEL",
            "engine_args": "arguments after --",
            "aliases": "--alias",
            "speculate": "--speculate DRAFT_MODEL",
        }
        name = shown.get(given[0], f"--{given[0].replace('_', '-')}")
        raise UsageError(f"--models and {name} exclude each other: the file has the models and their options.")
    try:
        tables = read_models(options.models)
    except UnusableFile as error:
        raise UsageError(f"--models: {error}") from error
    for name, table in tables.items():
        yield Served(
            _options(options, name, table),
            name,
            table.tiers,
            table.display_name,
            models_file.memory(table),
            options.keep_alive if table.keep_alive is None else models_file.keep_alive(table),
            table.pinned,
            table.preload,
        )


def _options(options: Options, name: str, table: ModelTable) -> Options:
    """The options of a model in the file; those of the machine are on the command line, too. Raises `UsageError`."""
    engine = table.engine or LLAMACPP
    if engine not in ENGINES:
        raise UsageError(f"--models: {options.models}: [{name}]: the engine {engine!r} is none of {', '.join(ENGINES)}")
    usual = options
    if engine != LLAMACPP:
        usual = replace(options, llama_server=None, gpu_layers=None, threads=None, cache_dir=None, speculate=AUTO)
    return replace(
        usual,
        **_OF_ONE_MODEL
        | {
            "model": table.source,
            "engine": engine,
            "engine_url": table.url,
            "engine_key": table.key,
            "tokenizer": table.tokenizer,
            "script": Path(table.script) if table.script else None,
            "dialect": table.dialect,
            "context_length": table.window,
            "parallel": table.parallel,
            "mmproj": table.mmproj,
            "llama_server": table.llama_server or usual.llama_server,
            "gpu_layers": table.layers or usual.gpu_layers,
            "threads": table.threads or usual.threads,
            "speculate": table.speculate or usual.speculate,
            "engine_args": tuple(table.args),
            "aliases": tuple(table.aliases),
        },
    )


def _check(options: Options) -> None:
    """Raise `UsageError` for an option of another engine than the chosen one."""
    if options.engine_args and options.engine not in (LLAMACPP, VLLM):
        raise UsageError("arguments after -- are for an engine that is started here.")
    if options.engine_args and options.engine_url:
        raise UsageError("arguments after -- are for an engine that is started here, without --engine-url.")
    given = {
        "--mmproj": options.mmproj,
        "--llama-server": options.llama_server,
        "--gpu-layers": options.gpu_layers,
        "--threads": options.threads,
        "--speculate": options.speculate != AUTO,
        "--cache-dir": options.cache_dir,
    }
    for name, value in given.items():
        if value and options.engine != LLAMACPP:
            raise UsageError(f"{name} is for the embedded engine.")
