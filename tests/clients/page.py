"""The table of clients in the documentation, made from the roster that the tests hold true."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .roster import CLAUDE_CODE_STEPS, CLAUDE_CODE_VERSION, CLIENTS, NOT_YET, STEPS, WORKS

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
_SCENES = Path(__file__).with_name("test_claude_code.py")
_TABLE, _LIST = "table", "scenes"
_SIGNS = {WORKS: "✓", NOT_YET: "not yet", None: ""}


def scenes() -> Sequence[str]:
    """The names of Claude Code's scenes, as sentences."""
    module = ast.parse(_SCENES.read_text(encoding="utf-8"))
    names = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
    return [name.removeprefix("test_").replace("_", " ") for name in names if name.startswith("test_")]


def renewed(page: str) -> str:
    """The page with everything that is made up to date."""
    page = _between(page, _TABLE, "\n".join(_table()))
    return _between(page, _LIST, "\n".join(f"- {scene}" for scene in scenes()))


def _between(page: str, name: str, text: str) -> str:
    pattern = re.compile(rf"(<!-- {name}: made by scripts/client-table -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
    found, count = pattern.subn(lambda match: f"{match[1]}\n{text}\n{match[2]}", page)
    assert count == 1, name
    return found


def _table() -> Iterator[str]:
    yield _row("client", "version", *STEPS)
    yield _row(*["---"] * (2 + len(STEPS)))
    claude_code = dict.fromkeys(CLAUDE_CODE_STEPS, WORKS)
    rows = [("Claude Code", CLAUDE_CODE_VERSION, claude_code)]
    rows += [(f"`{client.name}`", client.version, dict(client.expected)) for client in CLIENTS]
    for name, version, outcome in rows:
        yield _row(name, version, *(_SIGNS[outcome.get(step)] for step in STEPS))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
