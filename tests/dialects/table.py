"""The table of real templates in docs/dialects.md. To write it anew: `cd tests && python -m dialects.table`."""

import re
from pathlib import Path
from typing import Any

from corpus import templates
from dragoman.cli.detect import in_words, report
from dragoman.engines.gguf import Tokenizer

DOC = Path(__file__).parents[2] / "docs" / "dialects.md"
BEGIN, END = "<!-- written by tests/dialects/table.py: begin -->\n", "<!-- end -->\n"
_BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)


def table() -> str:
    """A row for every template: all that `dragoman detect` says of thinking, and of late system turns."""
    reports = {name: report(Tokenizer(source)) for name, source in templates().items()}
    known = next(found for found in reports.values() if "refused" not in found)
    traits = [name for name in known if name == "late_system" or name.startswith("thinking")]
    head = ["template", "dialect", "found", *(name.replace("_", " ") for name in traits)]
    return "".join(
        f"| {' | '.join(cells)} |\n"
        for cells in (head, ["---"] * len(head), *(_row(name, found, traits) for name, found in reports.items()))
    )


def written() -> str:
    """The table in the page."""
    (found,) = _BETWEEN.findall(DOC.read_text(encoding="utf-8"))
    return str(found)


def _row(name: str, found: dict[str, Any], traits: list[str]) -> list[str]:
    refusal = found.get("refused")
    told = [f"refused: {refusal}"] + [""] * (len(traits) - 1) if refusal else [in_words(found[trait]) for trait in traits]
    return [name, f"`{found['dialect']}`", _code(found["found"]), *told]


def _code(found: str) -> str:
    """Hints are spellings: `|` would end the cell."""
    kind, colon, spellings = found.partition("hint: ")
    return f"{colon}<code>{spellings.replace('<', '&lt;').replace('|', '&#124;')}</code>" if colon else kind


if __name__ == "__main__":
    fresh = table()
    DOC.write_text(_BETWEEN.sub(lambda _: fresh, DOC.read_text(encoding="utf-8")), encoding="utf-8")
