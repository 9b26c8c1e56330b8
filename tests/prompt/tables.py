"""The table of the append-only run in the docs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .agent import REASONS, Break
from .append_only_exceptions import DATED

DOCS = Path(__file__).parents[2] / "docs" / "templates.md"

BEGIN, END = "<!-- scripts/append-only-table: begin -->\n", "<!-- scripts/append-only-table: end -->\n"


_DATED = "The template prints the date: once a day everything is read again."


def append_only(rows: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """The table with a line for each template: its name, its dialect, and the breaks of its runs."""
    lines = [
        f"| {name}{' (D)' * (name in DATED)} | {dialect} | {_cell(runs[:1])} | {_cell(runs[1:])} |"
        for name, (dialect, runs) in rows.items()
    ]
    whole = sum(not "".join(runs).strip(Break.KEPT) for _, runs in rows.values())
    return "\n".join(
        [
            f"Of {len(rows)} templates, {whole} append only, in every turn.\n",
            *(f"- **{reason}**: {sentence}" for reason, sentence in REASONS.items()),
            f"- **D**: {_DATED}",
            "",
            "| template | dialect | without thinking | thinking |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )


def _cell(runs: Sequence[str]) -> str:
    """The number of turns of a run with which the next prompt begins, and the reasons for the others."""
    if not runs:
        return "-"
    counted = Counter(runs[0])
    kept = counted.pop(Break.KEPT, 0)
    if not counted:
        return "all"
    return f"{kept} of {len(runs[0])} ({', '.join(sorted(counted))})"
