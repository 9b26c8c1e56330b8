"""docs/architecture.md shows the packages and modules that there are."""

import architecture
from test_imports import ROOT


def test_the_page_has_a_line_for_each_module() -> None:
    assert architecture.PAGE.read_text(encoding="utf-8") == architecture.renewed_page(), "run scripts/architecture"


def test_the_picture_is_that_of_the_import_table() -> None:
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.picture(), "run scripts/architecture"


def test_each_module_says_what_it_is() -> None:
    assert [str(path) for path in ROOT.rglob("*.py") if not architecture.summary(path)] == []
