"""Strings between two tokens (`<|"|>`), without escapes.

Because a string may quote the dialect, a token ends it only if the text after it may follow a string. The token may also be
missing before the brackets and the closer that end the block.
"""

import re
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.markers import MAX_GAP, Markers, skip_gap

_BRACKETS = re.compile(rf"\}}{{1,{MAX_GAP}}}\s{{0,{MAX_GAP}}}")
_AFTER_STRING = (",", ":", "=", "]", ")", "}")


class End(Enum):
    """Whether the string ends here, with its token or without it."""

    NONE = auto()
    TOKEN = auto()
    NO_TOKEN = auto()


class TokenString:
    """Reads the inside of such strings."""

    def __init__(self, token: str, openers: tuple[str, ...], closers: tuple[str, ...]) -> None:
        self.token = token
        self._follows = Markers((*_AFTER_STRING, *closers))
        self._closers, self._openers = Markers(closers), openers
        self._stop = re.compile(f"[{re.escape(token[:1])}}}]")

    def read(self, text: str, pos: int, *, final: bool) -> tuple[int, str, End]:
        """The next piece of the inside: its end, the piece, and whether the string ends there.

        The end is `pos` and the piece empty if more text is needed to decide. `final`: no more text comes.
        """
        stop = self._stop.search(text, pos)
        end = stop.start() if stop else len(text)
        if end == pos and text[pos] == "}":
            is_end = self._lacks_token(text, pos, final=final)
            if is_end is None:
                return pos, "", End.NONE
            if is_end:
                return pos, "", End.NO_TOKEN
            end += 1
        if end != pos:
            return end, text[pos:end], End.NONE
        rest = text[pos : pos + len(self.token)]
        if rest != self.token and self.token.startswith(rest):
            return pos, "", End.NONE
        if rest == self.token:
            end = pos + len(rest)
            start = skip_gap(text, end)
            found = self._follows.match(text, start, final=False)
            if found is not None and found.marker:
                return end, "", End.TOKEN
            if found is not None or (start == len(text) and start - end < MAX_GAP):
                return pos, "", End.NONE
        return pos + 1, text[pos], End.NONE

    def _lacks_token(self, text: str, pos: int, *, final: bool) -> bool | None:
        """Whether brackets, the block's closer and then another block or the end follow; None if that is undecided."""
        brackets = _BRACKETS.match(text, pos)
        assert brackets is not None
        end = brackets.end()
        closer = self._closers.match(text, end, final=final)
        if closer is None:
            return None if end == len(text) and end - pos <= MAX_GAP and not final else False
        if not closer.marker:
            return None
        end = skip_gap(text, end + len(closer.marker))
        rest = text[end : end + max(map(len, self._openers), default=0)]
        if rest.startswith(self._openers):
            return True
        may_follow = any(opener.startswith(rest) for opener in self._openers)
        if end == len(text):
            return final or None
        return None if may_follow and not final else False


@lru_cache
def token_string(token: str, openers: tuple[str, ...], closers: tuple[str, ...]) -> TokenString:
    """The cached reader of strings between these tokens, in blocks with these openers and closers."""
    return TokenString(token, openers, closers)
