"""The page of dialects names every dialect."""

import re
from pathlib import Path

from dragoman import dialects

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"


def test_the_page_names_every_dialect() -> None:
    (names,) = re.findall("<!-- names: begin -->(.*)<!-- names: end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert re.findall("`(.+?)`", names) == sorted(dialects.BY_NAME)
