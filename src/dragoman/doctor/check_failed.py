"""What a check says when it does not pass, and how a server's words are quoted in it."""

_QUOTED = 140


class CheckFailed(Exception):
    """The server is at fault: one line that says how."""


class Skip(Exception):
    """There is nothing to judge: one line that says why."""


def quoted(text: str) -> str:
    """A server's words, on one line and not too many of them."""
    line = " ".join(text.split())
    return line if len(line) <= _QUOTED else line[:_QUOTED] + "…"
