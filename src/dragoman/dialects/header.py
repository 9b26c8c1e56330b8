"""A: the header of a message, and what it says of the message."""

import re
from collections.abc import Container
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Frame

MAX_HEADER = 256
"""What is longer is no header."""


class Kind(Enum):
    """What a message is."""

    THINKING = auto()
    TEXT = auto()
    CALL = auto()
    NONE = auto()  # it has no header: what was read is text itself


@dataclass(frozen=True, slots=True)
class Address:
    """What a header says: `name` is the called tool, `text` what was read."""

    kind: Kind
    text: str
    name: str = ""


class Header:
    """Reads a header, from behind the `start` that it began with to behind its end."""

    def __init__(self, frame: Frame, start: str, tools: Container[str]) -> None:
        self._frame = frame
        self._text = start
        self._tools = tools
        self.address: Address | None = None

    def read(self, text: str, pos: int) -> int:
        """Read on from `pos`; returns the end of what was consumed. `address` is set where the header has ended.

        Where its message ends instead, there is no more to the message.
        """
        found = _end(self._frame).find(text, pos, final=False)
        end = min(found.start if found else len(text), pos + MAX_HEADER - len(self._text))
        self._text += text[pos:end]
        if len(self._text) >= MAX_HEADER:
            self.address = Address(Kind.NONE, self._text)
        elif found and found.marker == self._frame.header_end:
            self._text += found.marker
            self.address = self._judge()
            end += len(found.marker)
        elif found and found.marker:
            self.address = Address(Kind.TEXT if re.search(self._frame.known, self._text) else Kind.NONE, self._text)
        return end

    def finish(self, tail: str) -> str:
        """The text that it was, if it was none; the header of a message that did not come is dropped."""
        self._text += tail
        return "" if re.search(self._frame.known, self._text) else self._text

    def _judge(self) -> Address:
        frame, text = self._frame, self._text
        if (found := re.search(frame.recipient, text)) and found[1] in self._tools:
            return Address(Kind.CALL, text, found[1])
        if re.search(frame.thinking, text):
            return Address(Kind.THINKING, text)
        return Address(Kind.TEXT if re.search(frame.known, text) else Kind.NONE, text)


@lru_cache
def _end(frame: Frame) -> Markers:
    return Markers((frame.header_end, *frame.ends))
