"""The cases in `cases/`: the parts that a dialect reads from an output, whole and at every split."""

import json
from pathlib import Path
from typing import Any

import pytest

from dragoman import dialects
from splits import same_at_every_split

from .reading import Reading, read

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['it']}")
    for path in sorted(Path(__file__).with_name("cases").glob("*.jsonl"))
    for case in map(json.loads, path.read_text(encoding="utf-8").splitlines())
]


@pytest.mark.clause("TOOL-17", "STOP-3", "RES-6", "SSE-10", "THK-6")
@pytest.mark.parametrize("case", CASES)
def test_an_output_is_read_as_the_case_says(case: dict[str, Any]) -> None:
    dialect = dialects.get(case.get("dialect", "qwen3"))
    start = {"thinking_open": case.get("thinking_open", False), "calls_allowed": case.get("calls_allowed", True)}

    tools = case.get("schemas") or case.get("tools", ["add", "now"])

    reading = same_at_every_split(
        lambda pieces: read(dialect, pieces, tools, cut=case.get("cut", False), **start),
        case["raw"],
    )

    assert reading == Reading(case["parts"], case.get("repairs", []))
