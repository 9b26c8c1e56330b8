"""docs/observability.md lists every name of the log, the metrics and captured files, and no other."""

import re
from pathlib import Path

from dragoman.observability import RequestLogEntry
from dragoman.observability.captured import CapturedExchange, CapturedRequest, CapturedResponse
from dragoman.observability.log_entry import Seconds, Tokens
from dragoman.observability.metrics import Metrics

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")


def first_column(heading: str) -> set[str]:
    """Return the names in the first column of a section's table; `.new` continues the last name that contains a dot."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found: set[str] = set()
    group = ""
    for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE):
        for name in re.findall(r"`([\w.]+)`", row):
            group = name.partition(".")[0] or group
            found.add(f"{group}{name}" if name.startswith(".") else name)
    return found


def test_the_page_lists_the_fields_of_a_log_entry() -> None:
    nested = {"tokens": Tokens, "seconds": Seconds}
    fields = {name for name in RequestLogEntry.__struct_fields__ if name not in nested}
    fields |= {f"{group}.{name}" for group, kind in nested.items() for name in kind.__struct_fields__}
    assert first_column("As JSON") == fields | {"time", "level", "logger"}


def test_the_page_lists_the_metrics() -> None:
    page = Metrics(list).page().decode()
    kinds = {name: kind for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE) if "_created" not in name}
    assert first_column("Metrics") == set(kinds)


def test_the_page_lists_the_parts_of_a_captured_file() -> None:
    section = PAGE.split("## Captured requests\n")[1]
    names = {name for kind in (CapturedExchange, CapturedRequest, CapturedResponse) for name in kind.__struct_fields__} - {
        "request_id",
        "began",
    }
    assert {name for name in names if f"`{name}`" not in section} == set()
