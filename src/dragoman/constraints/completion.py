"""Finds a short completion of a text that satisfies a constraint.

A grammar gives the bytes that may come next, but not which of them lead to the end. Where few are allowed, the text is between
values and closers are tried first; where nearly all are, it is inside a string, and the bytes that end one are tried.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

from llguidance import LLMatcher, LLTokenizer

from dragoman.constraints.lark import compiled
from dragoman.constraints.tree import Constraint, Until, nodes

_LONGEST: Final = 4096
_TAIL: Final = 100
_FREE: Final = 64
"""Where more bytes than this are allowed next, the text is inside a string."""
_FIRST: Final = b']})"'
_LAST: Final = b"0123456789-.eE"
"""Tried last, since a number can always be continued."""


def shortest_completion(constraint: Constraint, written: str) -> str | None:
    """A short text that, after `written`, satisfies the constraint; None where none was found within 4,096 bytes.

    Special tokens are read and written by their spelling.
    """
    ends = sorted({end.encode() for node in nodes(constraint) if isinstance(node, Until) for end in node.ends}, key=len)
    matcher = LLMatcher(_bytes(), compiled(constraint, {}).text)
    start = list(written.encode())
    if matcher.try_consume_tokens(start) != len(start):
        return None
    found = bytearray()
    while not matcher.is_accepting():
        step = next(_steps(matcher, ends, start[-_TAIL:] + list(found[-_TAIL:])), None)
        if step is None or len(found) > _LONGEST or not matcher.consume_tokens(list(step)):
            return None
        found += step
    return found.decode(errors="replace")


def _steps(matcher: LLMatcher, ends: list[bytes], recent: list[int]) -> Iterator[bytes]:
    """The bytes that may come next, most promising first. `recent`: the last bytes written, which may have begun an end."""
    forced = matcher.compute_ff_tokens()
    if forced:
        yield bytes(forced)
        return
    allowed = _allowed(matcher)
    if len(allowed) > _FREE:
        tail = bytes(recent)
        begun = [end[size:] for end in ends for size in range(len(end) - 1, 0, -1) if tail.endswith(end[:size])]
        for end in (*begun, b'"', b"'", *ends):
            ahead = matcher.deep_copy()
            if ahead.try_consume_tokens(list(end)) == len(end) and len(_allowed(ahead)) <= _FREE:
                yield end
    others = [byte for byte in allowed if byte not in _LAST]
    yield from (bytes([byte]) for byte in (*_FIRST, *others, *_LAST) if byte in allowed)


def _allowed(matcher: LLMatcher) -> list[int]:
    mask = matcher.compute_bitmask()
    return [byte for byte in range(256) if mask[byte // 8] >> byte % 8 & 1]


@cache
def _bytes() -> LLTokenizer:
    return LLTokenizer("byte")
