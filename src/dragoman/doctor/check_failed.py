"""Exceptions of checks, and how a server's text is quoted in them."""

_QUOTED = 140


class CheckFailed(Exception):
    """The server is at fault; the message is one line that says how."""


class Skip(Exception):
    """There is nothing to judge; the message is one line that says why."""


def quoted(text: str) -> str:
    """A server's text on one line, shortened to 140 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "…"
