"""The table at the end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ours, theirs (or nothing), and how they compare. `compared` is a ratio, or seconds where `difference`."""

    figure: str
    ours: str
    theirs: str
    unit: str
    target: str
    compared: float | None = None
    difference: bool = False

    @property
    def comparison(self) -> str:
        """The ratio, or the difference in milliseconds."""
        if self.compared is None:
            return ""
        return f"{self.compared * 1000:+.1f} ms" if self.difference else f"{self.compared:.3f}"


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = ["| what | Dragoman | llama.cpp's own | unit | compared | target |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.figure} | {r.ours} | {r.theirs} | {r.unit} | {r.comparison} | {r.target} |" for r in rows]
    return "\n".join(lines)
