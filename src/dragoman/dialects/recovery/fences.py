"""Reading of Markdown fences around calls."""

import re

from dragoman.dialects.recovery.source import NoCall, Source

FENCE = "```"

_OPENING = re.compile(r"`{3,}[ \t]*([\w+\-.]{0,32})[ \t]*")
_CLOSING = re.compile(r"`{3,}[ \t]*")
_NEUTRAL = frozenset({"", "json", "jsonc", "json5", "xml", "html", "text", "txt", "plaintext"})
_CALLS = re.compile(r"tool|func|action|call")


def fence_info(source: Source, pos: int) -> tuple[str, int]:
    """The info string of the fence that opens at `pos`, and its end. Raises `NoCall` if it cannot hold a call."""
    found = source.match(_OPENING, pos)
    if found is None or not (found[1].lower() in _NEUTRAL or _CALLS.search(found[1].lower())):
        raise NoCall(found.end() if found else pos + 1)
    return found[1].lower(), found.end()


def is_call_fence(info: str) -> bool:
    """Whether the info string of a fence says that it holds calls."""
    return _CALLS.search(info) is not None


def open_fence(source: Source, pos: int) -> int:
    """The end of the fence that opens at `pos`."""
    return fence_info(source, pos)[1]


def close_fence(source: Source, pos: int) -> int:
    """The end of the fence that closes at `pos`, if one does."""
    if not source.literal(pos, FENCE):
        return pos
    found = source.match(_CLOSING, pos)
    return found.end() if found else pos
