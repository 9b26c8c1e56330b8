"""Tests that the tables in docs/doctor.md, which scripts/doctor-table writes, have every check."""

import re
from pathlib import Path

from dragoman.doctor import CHECKS_OF

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def test_the_page_has_a_line_for_each_check_of_each_api() -> None:
    lines = re.findall(r"^\| [^|]*\| `([\w-]+)`: ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert lines == [(check.id, check.title) for checks in CHECKS_OF.values() for check in checks]
