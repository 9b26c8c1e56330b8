"""Exceptions of checks, and how a server's text is quoted in them."""

from collections.abc import Iterable

_QUOTED = 140


class CheckFailed(Exception):
    """The server is at fault; the message is one line that says how."""


class Skip(Exception):
    """There is nothing to judge; the message is one line that says why."""


def quoted(text: str) -> str:
    """A server's text on one line, shortened to 140 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "…"


def no_markup(text: str, marks: Iterable[str]) -> None:
    """Raise `CheckFailed` if one of the marks is in a model's text."""
    if leaked := next((mark for mark in marks if mark in text), None):
        raise CheckFailed(f"{leaked} in the text: {quoted(text)}")
