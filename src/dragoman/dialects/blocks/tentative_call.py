"""Tentative calls: calls in reasoning that may only be considered; the text after them decides.

Models of some families write complete calls in their reasoning (`CallsInside.TENTATIVE`), and sometimes make a call
without ending their reasoning first. A call at the end of the output was meant; one with more text after it is reasoning.
"""

from collections.abc import Callable
from dataclasses import replace

from dragoman.dialects.blocks.base import CallReader, Context
from dragoman.dialects.markers import SPACE, Markers
from dragoman.parts import CallStart, Part, Text


class TentativeCall(CallReader):
    """Reads consecutive blocks, each with a reader from `open_block`.

    `markers` are those that may follow a block that was meant: the opener of another one, or one of `ends`, which end the
    output. Repairs count only if the calls were meant.
    """

    def __init__(
        self,
        opener: str,
        open_block: Callable[[str, Context], CallReader],
        context: Context,
        markers: Markers,
        ends: tuple[str, ...],
    ) -> None:
        self._all_repairs = context.repairs
        self._context = replace(context, repairs=[])
        self._open_block, self._markers, self._ends = open_block, markers, ends
        self._block: CallReader | None = open_block(opener, self._context)
        self._text = [opener]
        self._parts: list[Part] = []

    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """Read as `CallReader.read` describes."""
        start = pos
        while pos < len(text) and not self.done:
            before = pos, self._block
            pos = self._between(text, pos) if self._block is None else self._inside(self._block, text, pos)
            if (pos, self._block) == before:
                break
        self._text.append(text[start:pos])
        if self.done:
            out.append(Text("".join(self._text)))
        return pos

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end: nothing follows, so the calls were meant."""
        self.done = True
        if self._block is not None:
            self._block.finish(tail, self._parts, cut=cut)
        if any(isinstance(part, CallStart) for part in self._parts):
            self._all_repairs += self._context.repairs
            out += [part for part in self._parts if not isinstance(part, Text)]
        else:
            out.append(Text("".join(self._text) + tail))

    def _between(self, text: str, pos: int) -> int:
        if space := SPACE.match(text, pos):
            return space.end()
        found = self._markers.match(text, pos, final=False)
        if found is None:
            self.done = True
            return pos
        if found.marker and found.marker not in self._ends:
            self._block = self._open_block(found.marker, self._context)
        return pos + len(found.marker)

    def _inside(self, block: CallReader, text: str, pos: int) -> int:
        pos = block.read(text, pos, self._parts)
        if block.done:
            self._block = None
            self.done = any(isinstance(part, Text) and not part.text.isspace() for part in self._parts)
        return pos
