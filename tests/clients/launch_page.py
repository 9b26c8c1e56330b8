"""Generates the parts of docs/clients/launch.md from the programs and from the versions that the tests run."""

from collections.abc import Iterable, Iterator, Mapping

from dragoman.cli.launch.program import Program
from dragoman.cli.launch.programs import PROGRAMS
from dragoman.cli.launch.programs.claude import CLAUDE

from .client_list import CLAUDE_CODE_VERSION
from .launched import LAUNCHED
from .markdown import table

_HEADER = ("program", "started by", "tried with", "API", "its own prompt, in tokens")


def launch_parts() -> Mapping[str, Iterable[str]]:
    """The lines of each part."""
    return {"launched": table(_HEADER, _rows()), "settings": _settings()}


def _rows() -> Iterator[tuple[str, ...]]:
    versions = {launched.name: launched.version for launched in LAUNCHED} | {CLAUDE.name: CLAUDE_CODE_VERSION}
    for program in PROGRAMS.values():
        prompt = f"about {program.prompt:,}"
        yield program.title, f"`dragoman launch {program.name}`", versions[program.name], f"`{program.api.value}`", prompt


def _settings() -> Iterator[str]:
    """A section for each program but Claude Code, which has a page."""
    for program in PROGRAMS.values():
        if program is not CLAUDE:
            yield f"### {program.title}\n"
            yield f"Installed with `{program.install}`. {program.recommended:,} tokens or more are recommended.\n"
            yield from (f"- {line}" for line in _given(program))
            yield ""


def _given(program: Program) -> Iterator[str]:
    yield from (f"`{variable.name}`: {variable.reason}" for variable in program.variables)
    yield from (f"`{file.given_by}` with a temporary file: {file.reason}" for file in program.files)
    yield from (f"`{name}` is removed: {reason}" for name, reason in program.removed.items())
    yield from program.notes
