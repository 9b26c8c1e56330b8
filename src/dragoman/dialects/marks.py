"""Marks in text: lone surrogates, which no text has, before the text of special tokens and inside mere spellings of them."""

from typing import Final

MARK: Final = "\udcfe"
"""Stands before the text of a special token."""
BREAK: Final = "\udcff"
"""Stands inside a spelling of a special token that is none."""


def marked(spelling: str) -> str:
    """The text of a special token."""
    return MARK + spelling


def unmarked(text: str) -> str:
    """The text without marks."""
    return text.replace(MARK, "")


def broken(spelling: str) -> str:
    """A spelling that no reader takes for a marker."""
    return spelling[0] + BREAK + spelling[1:]
