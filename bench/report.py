"""The table at the end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ours, theirs (or nothing) and whose that is, and how they compare.

    `compared` is a ratio, or seconds where `difference`. `missed` names the targets that were, where a line has several.
    """

    figure: str
    ours: str
    theirs: str
    unit: str
    target: str
    compared: float | None = None
    difference: bool = False
    rival: str = ""
    missed: str = ""

    @property
    def beside(self) -> str:
        """Their figure, and whose it is."""
        return f"{self.theirs} ({self.rival})" if self.rival else self.theirs

    @property
    def comparison(self) -> str:
        """The ratio, or the difference in milliseconds."""
        if self.compared is None:
            return ""
        return f"{self.compared * 1000:+.1f} ms" if self.difference else f"{self.compared:.3f}"


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = ["| what | Dragoman | compared with | unit | ratio | target |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.figure} | {r.ours} | {r.beside} | {r.unit} | {r.comparison} | {r.target} |" for r in rows]
    return "\n".join(lines)


def missed(rows: list[Row]) -> str:
    """The lines that say which targets were missed, of those that say so."""
    return "\n".join(f"missed: {r.figure}: {r.missed}" for r in rows if r.missed)
