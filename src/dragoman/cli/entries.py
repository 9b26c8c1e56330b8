"""Makes the entries of a server's models from their options: finds files, fits windows, and says how engines are built."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dragoman import dialects
from dragoman.cli.engines import LocalModel, build, llama_program
from dragoman.cli.fitting import fitted, wish
from dragoman.cli.named_model import named_model
from dragoman.cli.options import Options
from dragoman.cli.served_models import Served
from dragoman.cli.speculate import draft_model
from dragoman.cli.usage_error import UsageError
from dragoman.dialects import Dialect
from dragoman.engines import Engine
from dragoman.models.memory import Memory, free_memory
from dragoman.models.resolve import ModelFile
from dragoman.plugins import BadPlugin, register_dialects
from dragoman.server import ModelEntry

if TYPE_CHECKING:
    from dragoman.engines.llama.program import LlamaProgram


class EntryBuilder:
    """Makes the entries of models. Options that were there before give the same entry, even if more memory is free now.

    `limit` is the operator's, in bytes; `reserved` bytes are for another model. Raises `UsageError`.
    """

    def __init__(self, limit: int | None, reserved: int) -> None:
        try:
            register_dialects()
        except BadPlugin as error:
            raise UsageError(str(error)) from error
        self._limit = limit
        self._reserved = reserved
        self._memory: Memory | None = None
        self._made: dict[Served, ModelEntry] = {}

    def build(self, models: Sequence[Served]) -> tuple[list[ModelEntry], int | None]:
        """The entries, and how many bytes their models may take together, None for no limit.

        Downloads files that are not here, and builds each engine once, so that wrong options are noticed. Raises `UsageError`.
        """
        files = {}
        for model in models:
            if model.is_file:
                with model.placed():
                    found = named_model("serve", model.options.model, model.options.mmproj)
                    files[model] = replace(found, draft=draft_model(model.options.speculate))
        programs = {named: llama_program(named) for named in {model.options.llama_server for model in files}}
        memory = self._memory = self._memory or self._free(programs.values())
        local = _local_models(files, programs, memory)
        made = {}
        for model in models:
            with model.placed():
                made[model] = self._made.get(model) or _entry(model, local.get(model), alone=len(models) == 1)
        self._made = made
        takes_turns = sum(entry.memory > 0 for entry in made.values()) > 1
        return list(made.values()), memory.total if takes_turns or self._limit is not None else None

    def _free(self, programs: "Iterable[LlamaProgram | None]") -> Memory:
        """The memory for all models. It is read once: later some of it is taken by those that are loaded."""
        devices = max((program.free_memory for program in programs if program), default=0)
        free = free_memory(devices) if self._limit is None else Memory(self._limit)
        return Memory(max(0, free.system - self._reserved), free.devices)


def _local_models(
    files: Mapping[Served, ModelFile], programs: "Mapping[str | None, LlamaProgram | None]", memory: Memory
) -> dict[Served, LocalModel]:
    """The models that are run here, with their programs and windows. Raises `UsageError`."""
    wanted = [
        (model.id or file.id, file, wish(model.options.context_length, model.options.parallel)) for model, file in files.items()
    ]
    return {
        model: LocalModel(file, programs[model.options.llama_server], fit, sharing=len(files))
        for (model, file), fit in zip(files.items(), fitted(wanted, memory), strict=True)
    }


def _entry(model: Served, local: LocalModel | None, *, alone: bool) -> ModelEntry:
    options = model.options
    name = model.id or (local.file.id if local else options.model)
    if name is None and not alone:
        raise UsageError("of several models each needs a name: give MODEL.")
    if alone and model.id is None and model.is_vllm:
        name = None  # the engine's own
    return ModelEntry(
        name,
        _builder(options, local),
        aliases=options.aliases,
        tiers=model.tiers,
        display_name=model.display_name,
        created_at=datetime.fromtimestamp(local.file.path.stat().st_mtime if local else 0, UTC),
        dialect=_dialect(options),
        memory=model.memory or (local.fit.memory if local else 0),
        window=local.fit.context if local else options.context_length,
        keep_alive=model.keep_alive,
        pinned=model.pinned,
        preload=model.preload,
    )


def _builder(options: Options, local: LocalModel | None) -> Callable[[], Engine]:
    """What makes a new engine for each load; the first one is made now. Raises `UsageError`."""
    first = [build(options, local)]
    return lambda: first.pop() if first else build(options, local)


def _dialect(options: Options) -> Dialect | None:
    """The named dialect; or one with the calls of one parser and the reasoning of another."""
    try:
        if options.dialect:
            return dialects.get(options.dialect)
        calls = options.tool_call_parser and dialects.by_tool_parser(options.tool_call_parser)
        reasoning = options.reasoning_parser and dialects.by_reasoning_parser(options.reasoning_parser)
    except dialects.UnknownDialect as error:
        raise UsageError(str(error)) from error
    if calls and reasoning:
        return dialects.combine(calls, reasoning)
    return calls or reasoning or None
