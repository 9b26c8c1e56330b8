"""A: the header of a message, and what it says of the message."""

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Frame

MAX_HEADER = 256
"""What is longer is no header."""


_MARKUP = re.compile(r"<[^<>]*>?|\bto=\S*")


class Kind(Enum):
    """What a message is."""

    THINKING = auto()
    TEXT = auto()
    CALL = auto()
    NONE = auto()  # it has no header: what was read is text itself


@dataclass(frozen=True, slots=True)
class Address:
    """What a header says: `name` is the called tool, `text` what was read; `rest` is what is the message's own of it."""

    kind: Kind
    text: str
    name: str = ""
    rest: str = ""


class Header:
    """Reads a header, from behind the `start` that it began with to behind its end.

    Models forget the end. A message to a declared tool then begins where its arguments do, with one of `begins`; any other
    where the words of a header are over.
    """

    def __init__(self, frame: Frame, start: str, tools: Container[str], begins: tuple[str, ...] = ()) -> None:
        self._frame = frame
        self._text = start
        self._tools = tools
        self._begins = begins
        self.address: Address | None = None
        self.lost_end = False
        """Was the header's end missing?"""

    def read(self, text: str, pos: int) -> int:
        """Read on from `pos`; returns the end of what was consumed. `address` is set where the header has ended."""
        found = _end(self._frame, self._begins).find(text, pos, final=False)
        end = min(found.start if found else len(text), pos + MAX_HEADER - len(self._text))
        self._text += text[pos:end]
        if len(self._text) >= MAX_HEADER:
            self.address = self._without_end() or Address(Kind.NONE, self._text)
        elif found and found.marker in self._begins:
            name = self._recipient()
            if name:
                self.address, self.lost_end = Address(Kind.CALL, self._text, name), True
                return end
            self._text += found.marker[:1]
            end += 1
        elif found and found.marker == self._frame.header_end:
            self._text += found.marker
            self.address = self._judge()
            end += len(found.marker)
        elif found and found.marker:
            known = Kind.TEXT if re.search(self._frame.known, self._text) else Kind.NONE
            self.address = self._without_end() or Address(known, self._text)
        return end

    def finish(self, tail: str) -> Address:
        """What the header said, if no more text comes: the header of a message that did not come is dropped."""
        whole = self._text
        self._text += tail
        if found := self._without_end():
            return replace(found, rest="") if _begins_marker(found.rest, self._frame) else found
        is_header = re.search(self._frame.known, whole) and len(_MARKUP.sub(" ", self._text).split()) <= 1
        return Address(Kind.TEXT, whole) if is_header else Address(Kind.NONE, self._text)

    def _recipient(self) -> str:
        """The declared tool that the header names, or ""."""
        found = re.search(self._frame.recipient, self._text)
        return found[1] if found and found[1] in self._tools else ""

    def _without_end(self) -> Address | None:
        """What a header that does not end says, and the message that follows; None where it says nothing."""
        found = re.match(self._frame.unended, self._text)
        if found is None:
            return None
        self.lost_end = True
        kind = Kind.THINKING if re.search(self._frame.thinking, found.group()) else Kind.TEXT
        return Address(kind, self._text, rest=self._text[found.end() :])

    def _judge(self) -> Address:
        frame, text = self._frame, self._text
        if self._holds_another() and (first := self._without_end()):
            return first
        if name := self._recipient():
            return Address(Kind.CALL, text, name)
        if re.search(frame.thinking, text):
            return Address(Kind.THINKING, text)
        return Address(Kind.TEXT if re.search(frame.known, text) else Kind.NONE, text)

    def _holds_another(self) -> bool:
        """Did a message without a header's end come before the header whose end was found?"""
        found = re.match(self._frame.unended, self._text)
        words, start, _ = self._text[found.end() if found else 0 :].partition(self._frame.starts[-1])
        return found is not None and bool(start) and len(words.split()) > 1


def _begins_marker(text: str, frame: Frame) -> bool:
    """Is this the beginning of a marker, and nothing else?"""
    return any(marker.startswith(text.strip()) for marker in (frame.header_end, *frame.starts, *frame.ends))


@lru_cache
def _end(frame: Frame, begins: tuple[str, ...]) -> Markers:
    return Markers((frame.header_end, *frame.ends, *begins))
