"""Runs the benchmarks: `uv run python -m bench [--runs N] [PART ...]`, all parts of `_PARTS` if none is named."""

import argparse
import asyncio
import signal
import sys
from functools import partial

from bench import (
    agent,
    batches,
    constraint,
    gateway,
    images,
    large,
    limits,
    litellm,
    parser,
    restart,
    servers,
    speculation,
    surface,
    vllm,
    workers,
)
from bench.report import missed, table

_PARTS = {
    "gateway": gateway.measure,
    "surface": surface.measure,
    "parser": parser.measure,
    "constraint": constraint.measure,
    "agent": agent.measure,
    "restart": restart.measure,
    "images": images.measure,
    "vllm": vllm.measure,
    "lmdeploy": servers.lmdeploy,
    "sglang": servers.sglang,
    "litellm": litellm.measure,
    "workers": workers.measure,
    "limits": limits.measure,
    "large": large.measure,
}
_PIECES = {"speculation": speculation.measure, "batches": batches.measure}
"""Pieces of the parts, which can be measured alone."""


def main() -> None:
    """Measure the requested parts, or all of them, and print one table."""
    arguments = argparse.ArgumentParser(prog="python -m bench")
    arguments.add_argument("parts", nargs="*", choices=[*_PARTS, *_PIECES, []], help="what to measure; everything by default")
    arguments.add_argument("--runs", type=int, default=5, help="paired runs of each figure")
    arguments.add_argument("--vllm", default=vllm.PROGRAM, metavar="PROGRAM", help="the program to compare with")
    arguments.add_argument("--vllm-model", default=vllm.MODEL, metavar="MODEL", help="a folder, or a repository on the Hub")
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that started processes are terminated too
    parts = {**_PARTS, **_PIECES, "vllm": partial(vllm.measure, program=options.vllm, model=options.vllm_model)}
    rows = []
    for part in options.parts or _PARTS:
        print(f"measuring: {part}", file=sys.stderr)
        rows += asyncio.run(parts[part](options.runs))
    print(table(rows))
    print(missed(rows))


main()
