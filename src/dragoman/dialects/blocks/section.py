"""D: a section of several blocks. Its tags are markup if it contains a complete block, of a declared tool or not; else text.

Text between the section's opener and its first call is dropped; text after a call ends the section.
"""

from collections.abc import Callable
from functools import lru_cache

from dragoman.dialects.blocks.base import CallReader, Context
from dragoman.dialects.markers import SPACE, Markers
from dragoman.dialects.spec import Calls
from dragoman.parts import CallStart, Part, Text

MAX_PREFACE = 1024
"""Characters of the longest text before the first call; with more, the opener was text."""


class Section(CallReader):
    """Reads the blocks of a section, each with a reader from `open_block`."""

    def __init__(self, opener: str, calls: Calls, context: Context, open_block: Callable[[str], CallReader]) -> None:
        self._calls = calls
        self._ends = context.ends
        self._markers = _markers(calls, context.ends)
        self._open_block = open_block
        self._repairs = context.repairs
        self._block: CallReader | None = None
        self._called = False
        self._released = False  # a block was not a call, before any call came
        self._is_markup = False  # there was a complete block
        self._pending: list[Part] = []  # text of a block that may not be a call
        self._preface = 0
        self._kept = [opener]

    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """Read as `CallReader.read` describes."""
        while pos < len(text) and not self.done:
            before = pos, self._block
            pos = self._between(text, pos, out) if self._block is None else self._inside(self._block, text, pos, out)
            if (pos, self._block) == before:
                break
        return pos

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end as `CallReader.finish` describes."""
        self.done = True
        if self._block is not None:
            parts: list[Part] = []
            self._block.finish(tail, parts, cut=cut)
            self._pass_on([*self._pending, *parts], out)
        elif cut and not self._is_markup and not self._released:
            self._repairs.append("cut-call")
        elif not self._is_markup:
            self._kept.append(tail)
            self._release(out)

    def _between(self, text: str, pos: int, out: list[Part]) -> int:
        if self._called and (space := SPACE.match(text, pos)):
            self._kept.append(space.group())
            return space.end()
        found = self._markers.find(text, pos, final=False)
        start = found.start if found else len(text)
        if start > pos:
            return self._read_preface(text, pos, start, out)
        assert found is not None
        if found.marker in self._ends:
            self._give_up(out)
            return start
        if found.marker in self._calls.opens:
            self._block = self._open_block(found.marker)
        elif found.marker:
            self._end(found.marker, out)
        return start + len(found.marker)

    def _read_preface(self, text: str, pos: int, end: int, out: list[Part]) -> int:
        """Read text that is not a block. After a call, or if there is too much of it, the section ends."""
        if self._called:
            self._give_up(out)
            return pos
        end = min(end, pos + MAX_PREFACE - self._preface)
        self._preface += end - pos
        self._kept.append(text[pos:end])
        if self._preface == MAX_PREFACE:
            self._give_up(out)
        elif self._released or self._is_markup:
            self._release(out)
        return end

    def _give_up(self, out: list[Part]) -> None:
        """End the section without its closer; if no complete block came, its opener was text."""
        self.done, self.refused = True, not self._is_markup
        self._release(out)

    def _inside(self, block: CallReader, text: str, pos: int, out: list[Part]) -> int:
        parts: list[Part] = []
        pos = block.read(text, pos, parts)
        self._pending += parts
        if not self._is_markup and not block.done and not any(isinstance(part, CallStart) for part in parts):
            return pos  # the end of the block decides whether the tags are text as well
        if block.done and not block.refused and self._pending:
            self._drop_opener()
        parts, self._pending = self._pending, []
        self._pass_on(parts, out)
        if block.done:
            self._block = None
        return pos

    def _drop_opener(self) -> None:
        if not self._is_markup and not self._released:
            self._kept[0] = ""
        self._is_markup = True

    def _pass_on(self, parts: list[Part], out: list[Part]) -> None:
        """Pass on the parts of a block. The first call drops the kept text, the first text releases it."""
        for part in parts:
            if isinstance(part, CallStart):
                self._called = self._is_markup = True
                self._kept.clear()
            elif isinstance(part, Text):
                self._released = self._released or not self._is_markup
                self._release(out)
            out.append(part)

    def _end(self, closer: str, out: list[Part]) -> None:
        """End the section at its closer. After a call, the closer and the space before it are markup."""
        self.done = True
        is_silent = not (self._released or self._is_markup)
        is_empty = is_silent and not "".join(self._kept[1:]).strip()  # an empty section: there are no calls
        if self._called or is_empty:
            self._kept.clear()
        elif self._released or not self._is_markup:
            self._kept.append(closer)
        self._release(out)

    def _release(self, out: list[Part]) -> None:
        if kept := "".join(self._kept):
            out.append(Text(kept))
        self._kept.clear()


@lru_cache
def _markers(calls: Calls, ends: tuple[str, ...]) -> Markers:
    return Markers((*calls.opens, *calls.section_closes, *ends))
