"""Generates parts of docs/clients.md and docs/clients/ from the tests' data, and reads the lines to paste from them."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dragoman.cli.launch.programs.claude import CLAUDE

from .client_list import (
    CLAUDE_CODE_STEPS,
    CLAUDE_CODE_VERSION,
    CLIENTS,
    CODEX_STEPS,
    CODEX_VERSION,
    NOT_YET,
    STEPS,
    WORKS,
    Client,
)
from .launch_page import launch_parts
from .markdown import table

_DOCS = Path(__file__).parents[2] / "docs"
_PAGES = _DOCS / "clients"
_CLAUDE_CODE = "claude-code"


class Program(NamedTuple):
    """A program with a test for each step: its name, its page, its version, and the test of each step in `tests`."""

    name: str
    page: str
    version: str
    steps: Mapping[str, str]
    tests: str

    @property
    def scenarios(self) -> Sequence[str]:
        """Its tests, as sentences."""
        module = ast.parse(Path(__file__).with_name(self.tests).read_text(encoding="utf-8"))
        names = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
        return [name.removeprefix("test_").replace("_", " ") for name in names if name.startswith("test_")]


PROGRAMS = [
    Program("Claude Code", _CLAUDE_CODE, CLAUDE_CODE_VERSION, CLAUDE_CODE_STEPS, "test_claude_code.py"),
    Program("Codex", "codex", CODEX_VERSION, CODEX_STEPS, "test_codex.py"),
]
_SIGNS = {WORKS: "✓", NOT_YET: "not yet", None: ""}
_LANGUAGES = {".py": "python", ".mjs": "javascript"}


def lines_to_paste(client: Client) -> str:
    """The program in the client's page, in the client's language."""
    language = _LANGUAGES[Path(client.program).suffix]
    page = (_PAGES / f"{client.page}.md").read_text(encoding="utf-8")
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return str(found)


def generated() -> Mapping[Path, Mapping[str, Iterable[str]]]:
    """The lines of each generated part of each page."""
    tried = {program.page: [_tried(program.name, program.version, program.steps)] for program in PROGRAMS}
    for client in CLIENTS:
        works = [step for step, outcome in client.expected.items() if outcome == WORKS]
        tried.setdefault(client.page, []).append(_tried(f"`{client.name}`", client.version, works))
    parts: dict[Path, dict[str, Iterable[str]]] = {_PAGES / f"{page}.md": {"tried": lines} for page, lines in tried.items()}
    parts[_PAGES / f"{_CLAUDE_CODE}.md"] |= {"variables": _variables(), "removed": _removed()}
    scenarios = {f"scenarios of {program.name}": [f"- {words}" for words in program.scenarios] for program in PROGRAMS}
    parts[_PAGES / "launch.md"] = dict(launch_parts())
    parts[_DOCS / "clients.md"] = {"table": _table(), **scenarios}
    return parts


def updated(page: Path, parts: Mapping[str, Iterable[str]]) -> str:
    """The page with its generated parts up to date."""
    text = page.read_text(encoding="utf-8")
    for name, lines in parts.items():
        text = _between(text, name, "\n".join(lines))
    return text


def _between(page: str, name: str, text: str) -> str:
    pattern = re.compile(rf"(<!-- {name}: made by scripts/client-table -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
    found, count = pattern.subn(lambda match: f"{match[1]}\n{text}\n{match[2]}", page)
    assert count == 1, name
    return found


def _tried(name: str, version: str, steps: Iterable[str]) -> str:
    return f"Tried with {name} {version}: {', '.join(steps)} ([what that means](../clients.md))."


def _table() -> Iterator[str]:
    rows = [(program.name, program.page, program.version, dict.fromkeys(program.steps, WORKS)) for program in PROGRAMS]
    rows += [(f"`{client.name}`", client.page, client.version, dict(client.expected)) for client in CLIENTS]
    cells = (
        (f"[{name}](clients/{page}.md)", version, *(_SIGNS[outcome.get(step)] for step in STEPS))
        for name, page, version, outcome in rows
    )
    return table(("client", "version", *STEPS), cells)


def _variables() -> Iterator[str]:
    return table(("variable", "why"), ((f"`{variable.name}`", variable.reason) for variable in CLAUDE.variables))


def _removed() -> Iterator[str]:
    return table(("variable", "why"), ((f"`{name}`", reason) for name, reason in CLAUDE.removed.items()))
