"""The generated parts of docs/architecture.md: the picture of the packages, and a line for each module."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

from test_imports import ALLOWED, LEAVES, ROOT

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE = DOCS / "architecture.md", DOCS / "architecture.svg"
BEGIN, END = "<!-- written by scripts/architecture: begin -->\n", "<!-- end -->\n"
_BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)
_SENTENCE = re.compile(r"(.*?[.?!])(?:\s|$)", re.DOTALL)
_NOT_SHOWN = {"__init__", "__main__"}
_WIDTH, _ROW, _BOX, _HEIGHT = 1000, 96, 128, 40


def renewed_page() -> str:
    """The page with a fresh list of modules."""
    return _BETWEEN.sub(lambda _: _modules(), PAGE.read_text(encoding="utf-8"))


def _modules() -> str:
    return "".join(f"\n### {package}\n\n| module | what it is |\n|---|---|\n{rows}" for package, rows in _tables())


def _tables() -> Iterator[tuple[str, str]]:
    """Packages, and the rows of their modules."""
    packages: dict[str, list[Path]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        packages.setdefault(parts[0] if len(parts) > 1 else "dragoman", []).append(path)
    for package, paths in packages.items():
        yield package, "".join(f"| `{path.relative_to(ROOT).as_posix()}` | {summary(path)} |\n" for path in paths)


@cache
def summary(path: Path) -> str:
    """The first sentence of a module's docstring, as a cell of a table."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    found = _SENTENCE.match(text)
    sentence = " ".join((found[1] if found else text).split()).removesuffix(":")
    return sentence.replace("|", "\\|").replace("<", "&lt;")


def picture() -> str:
    """The packages in rows: each package imports only from rows below it. An SVG.

    There is no line where the packages in between have one.
    """
    rows = _rows({package: targets for package, targets in ALLOWED.items() if package not in _NOT_SHOWN})
    rows.append(sorted(LEAVES))
    places = {
        package: (round(_WIDTH * (number + 0.5) / len(row)), _ROW * level + _ROW // 2)
        for level, row in enumerate(rows)
        for number, package in enumerate(row)
    }
    lines = [
        f'<line x1="{x}" y1="{y + _HEIGHT // 2}" x2="{places[target][0]}" y2="{places[target][1] - _HEIGHT // 2}"/>'
        for package, (x, y) in places.items()
        for target in sorted(_direct(package))
    ]
    boxes = [
        f'<rect x="{x - _BOX // 2}" y="{y - _HEIGHT // 2}" width="{_BOX}" height="{_HEIGHT}" rx="6"/>'
        f'<text x="{x}" y="{y + 5}">{escape(package)}</text>'
        for package, (x, y) in places.items()
    ]
    style = "line{stroke:#8aa;stroke-width:1}rect{fill:#e6f4f1;stroke:#0a7a6c}text{font:15px sans-serif;text-anchor:middle}"
    size = f'viewBox="0 0 {_WIDTH} {_ROW * len(rows)}"'
    body = "\n".join([*lines, *boxes])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{style}</style>\n{body}\n</svg>\n'


def _direct(package: str) -> set[str]:
    """The packages that this one imports, without those that one of them imports as well."""
    targets = ALLOWED.get(package, set())
    return {target for target in targets if not any(target in _below(other) for other in targets)}


def _below(package: str) -> set[str]:
    """All packages that this one imports, directly or not."""
    targets = ALLOWED.get(package, set())
    return targets.union(*(_below(target) for target in targets))


def _rows(allowed: Mapping[str, set[str]]) -> list[list[str]]:
    """The packages by level, the highest first."""
    levels: dict[str, int] = {}
    while len(levels) < len(allowed):
        for package in allowed.keys() - levels.keys():
            below = allowed[package] & allowed.keys()
            if below <= levels.keys():
                levels[package] = 1 + max((levels[target] for target in below), default=0)
    return [sorted(package for package in levels if levels[package] == level) for level in range(max(levels.values()), 0, -1)]
