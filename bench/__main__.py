"""`uv run python -m bench [--runs N] [surface] [gateway] [parser] [constraint] [agent]`."""

import argparse
import asyncio
import sys

from bench import agent, constraint, gateway, parser, surface
from bench.report import table

_PARTS = {
    "gateway": gateway.measure,
    "surface": surface.measure,
    "parser": parser.measure,
    "constraint": constraint.measure,
    "agent": agent.measure,
}


def main() -> None:
    """Measure what was asked for, or all of it, and print one table."""
    arguments = argparse.ArgumentParser(prog="python -m bench")
    arguments.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="what to measure; all of it if nothing is named")
    arguments.add_argument("--runs", type=int, default=5, help="paired runs of each figure")
    options = arguments.parse_args()
    rows = []
    for part in options.parts or _PARTS:
        print(f"measuring: {part}", file=sys.stderr)
        rows += asyncio.run(_PARTS[part](options.runs))
    print(table(rows))


main()
