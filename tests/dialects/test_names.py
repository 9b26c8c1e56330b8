"""The page of dialects names every dialect and every block, and its example of a family works."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from dragoman import dialects
from dragoman.dialects import Dialect, spec
from splits import same_at_every_split

from .reading import read

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def test_the_page_names_every_dialect() -> None:
    (names,) = re.findall("<!-- names: begin -->(.*)<!-- names: end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert re.findall("`(.+?)`", names) == sorted(dialects.BY_NAME)


def test_the_page_names_every_choice_for_a_block() -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = set(spec.__all__) - {"CALLEE", "CallTags", "CallsInside", "Carrier", "Codec", "Ids", "Syntax"}
    assert {name for name in blocks if f"`{name}`" not in page} == set()


def test_the_family_of_the_page_reads_the_output_of_the_page() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Adding a family\n")[2].partition("\n## ")[0]
    family, case = (textwrap.dedent(block) for block in re.findall("```(?:python|json)\n(.*?)```", section, re.DOTALL))
    names: dict[str, Any] = {}
    exec(family, names)
    (dialect,) = (value for value in names.values() if isinstance(value, Dialect))
    expected = json.loads(case)
    assert dialect.name == expected["dialect"]
    reading = same_at_every_split(lambda chunks: read(dialect, chunks, ["now"]), expected["raw"])
    assert (reading.parts, reading.repairs) == (expected["parts"], [])
