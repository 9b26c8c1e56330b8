"""The table of real templates in docs/dialects.md, which scripts/template-table writes."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from corpus import templates
from dragoman.cli.detect import in_words, report
from dragoman.models.gguf_header import Tokenizer

DOCS = Path(__file__).parents[2] / "docs" / "dialects.md"
BEGIN, END = "<!-- scripts/template-table: begin -->\n", "<!-- scripts/template-table: end -->\n"
_BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)


HEAD = ("template", "dialect", "found", "late system", "thinking", "default", "what it loses")


@cache
def reports() -> dict[str, dict[str, Any]]:
    """The result of `dragoman detect` for each template."""
    return {name: report(Tokenizer(source)) for name, source in templates().items()}


def table() -> str:
    """The table, with a row for every template."""
    rows = [_row(name, found) for name, found in reports().items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (HEAD, ["---"] * len(HEAD), *rows))


def updated() -> str:
    """The page with a new table."""
    new = table()
    return _BETWEEN.sub(lambda _: new, DOCS.read_text(encoding="utf-8"))


def _row(name: str, found: dict[str, Any]) -> list[str]:
    cells = [name, f"`{found['dialect']}`", _code(found["found"])]
    if "refused" in found:
        return [*cells, f"refused: {found['refused']}", "", "", ""]
    switch = found["thinking"]
    default = in_words(switch["default"]) if switch else ""
    return [*cells, found["late_system"], switch["variable"] if switch else "", default, ", ".join(found["losses"])]


def _code(found: str) -> str:
    """A hint as code for a cell, with `|` escaped, which would end the cell."""
    kind, colon, spellings = found.partition("hint: ")
    return f"{colon}<code>{spellings.replace('<', '&lt;').replace('|', '&#124;')}</code>" if colon else kind
