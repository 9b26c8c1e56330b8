"""docs/configuration.md has every command and every option."""

from .options_page import PAGE, updated


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == updated(), "run scripts/options-table"
