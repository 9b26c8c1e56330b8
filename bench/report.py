"""The table of results."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A row: Dragoman's figure, the rival's figure if there is one, and how they compare.

    `compared` is a ratio, or seconds if `difference`. `missed` names the missed targets of a row with several targets.
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
        """The rival's figure and name."""
        return f"{self.theirs} ({self.rival})" if self.rival else self.theirs

    @property
    def comparison(self) -> str:
        """The ratio, or the difference in milliseconds."""
        if self.compared is None:
            return ""
        return f"{self.compared * 1000:+.1f} ms" if self.difference else f"{self.compared:.3f}"


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | Dragoman | compared with | unit | ratio | target |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.figure} | {r.ours} | {r.beside} | {r.unit} | {r.comparison} | {r.target} |" for r in rows]
    return "\n".join(lines)


def missed(rows: list[Row]) -> str:
    """A line for each row with missed targets."""
    return "\n".join(f"missed: {r.figure}: {r.missed}" for r in rows if r.missed)
