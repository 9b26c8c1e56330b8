"""A: the reader of a message's header."""

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.markers import Markers
from dragoman.dialects.marks import MARK
from dragoman.dialects.spec import Frame

MAX_HEADER = 256
"""Characters of the longest header; anything longer is text."""

_MARKUP = re.compile(rf"{MARK}?<[^<>]*>?|\bto=\S*")


class MessageKind(Enum):
    """The kind of a message, by its header."""

    THINKING = auto()
    TEXT = auto()
    CALL = auto()
    NOT_A_HEADER = auto()  # what was read is text


@dataclass(frozen=True, slots=True)
class ParsedHeader:
    """A header that was read."""

    kind: MessageKind
    text: str
    """All that was read."""
    name: str = ""
    """The called tool."""
    rest: str = ""
    """The end of what was read that belongs to the message itself."""


class HeaderReader:
    """Reads a header, from after the `start` that it began with to after its end.

    Models forget the end. A message to a declared tool then begins where its arguments do, with one of `begins`; any other
    begins after the words of the header.
    """

    def __init__(self, frame: Frame, start: str, tools: Container[str], begins: tuple[str, ...] = ()) -> None:
        self._frame = frame
        self._text = start
        self._tools = tools
        self._begins = begins
        self.parsed: ParsedHeader | None = None
        self.lost_end = False
        """Whether the header's end was missing."""

    def read(self, text: str, pos: int) -> int:
        """Read from `pos` on; returns the end of what was consumed. `parsed` is set once the header has ended."""
        found = _end(self._frame, self._begins).find(text, pos, final=False)
        end = min(found.start if found else len(text), pos + MAX_HEADER - len(self._text))
        self._text += text[pos:end]
        if len(self._text) >= MAX_HEADER:
            self.parsed = self._without_end() or ParsedHeader(MessageKind.NOT_A_HEADER, self._text)
        elif found and found.marker in self._begins:
            name = self._recipient()
            if name:
                self.parsed, self.lost_end = ParsedHeader(MessageKind.CALL, self._text, name), True
                return end
            self._text += found.marker[:1]
            end += 1
        elif found and found.marker == self._frame.header_end:
            self._text += found.marker
            self.parsed = self._classified()
            end += len(found.marker)
        elif found and found.marker:
            known = MessageKind.TEXT if re.search(self._frame.known, self._text) else MessageKind.NOT_A_HEADER
            self.parsed = self._without_end() or ParsedHeader(known, self._text)
        return end

    def finish(self, tail: str) -> ParsedHeader:
        """The header, now that no more text comes: it is dropped if its message has not begun."""
        whole = self._text
        self._text += tail
        if found := self._without_end():
            return replace(found, rest="") if _begins_marker(found.rest, self._frame) else found
        is_header = re.search(self._frame.known, whole) and len(_MARKUP.sub(" ", self._text).split()) <= 1
        return ParsedHeader(MessageKind.TEXT, whole) if is_header else ParsedHeader(MessageKind.NOT_A_HEADER, self._text)

    def _recipient(self) -> str:
        """The declared tool that the header names, or "" for none."""
        found = re.search(self._frame.recipient, self._text)
        return found[1] if found and found[1] in self._tools else ""

    def _without_end(self) -> ParsedHeader | None:
        """A header that lacks its end, with the beginning of its message; None if the text has no such header."""
        found = re.match(self._frame.unended, self._text)
        if found is None:
            return None
        self.lost_end = True
        kind = MessageKind.THINKING if re.search(self._frame.thinking, found.group()) else MessageKind.TEXT
        return ParsedHeader(kind, self._text, rest=self._text[found.end() :])

    def _classified(self) -> ParsedHeader:
        frame, text = self._frame, self._text
        if self._holds_another() and (first := self._without_end()):
            return first
        if name := self._recipient():
            return ParsedHeader(MessageKind.CALL, text, name)
        if re.search(frame.thinking, text):
            return ParsedHeader(MessageKind.THINKING, text)
        return ParsedHeader(MessageKind.TEXT if re.search(frame.known, text) else MessageKind.NOT_A_HEADER, text)

    def _holds_another(self) -> bool:
        """Whether a message whose header lacks its end came before the header whose end was found."""
        found = re.match(self._frame.unended, self._text)
        words, start, _ = self._text[found.end() if found else 0 :].partition(self._frame.starts[-1])
        return found is not None and bool(start) and len(words.split()) > 1


def _begins_marker(text: str, frame: Frame) -> bool:
    """Whether the text is the beginning of a marker and nothing else."""
    return any(marker.startswith(text.strip()) for marker in (frame.header_end, *frame.starts, *frame.ends))


@lru_cache
def _end(frame: Frame, begins: tuple[str, ...]) -> Markers:
    return Markers((frame.header_end, *frame.ends, *begins))
