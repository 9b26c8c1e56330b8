"""Calls that begin with a name, followed by arguments that are not one JSON object: F2 to F5.

The name decides: with the name of a declared tool it is a call, whose arguments then stream as JSON; with any other name it is
text. If values have quotes, the text after an undeclared name is read by the same rules as a call, so that a call after it is
recognised; if they have none, its end is unknown, and the block ends.

A call that has begun cannot be taken back. If only closers are missing, it is complete; if a value may be incomplete, the JSON
is closed so that the client can read it, and the call ends as *not complete*.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from dragoman.dialects.blocks.base import Context
from dragoman.dialects.blocks.block_reader import BlockReader
from dragoman.dialects.codecs import ArgumentReader
from dragoman.dialects.markers import SPACE, Found, Markers
from dragoman.dialects.spec import Calls, NameTag
from dragoman.dialects.tag_reader import TagReader, attribute_in, name_in
from dragoman.json_schema.view import SchemaView
from dragoman.parts import Part

_NO_NAME = re.compile(r"[^\w.\-:/@\"' ]| (?=\S)")
_NO_TAG = re.compile("<")


class TagBlock(BlockReader):
    """Reads one block of calls."""

    def __init__(self, opener: str, calls: Calls, carrier: NameTag, context: Context) -> None:
        super().__init__(opener, calls, context)
        self._carrier = carrier
        self._header, self._stops, self._tokens = _compile(calls, carrier)
        self._final = False  # no more text comes
        self._step: Callable[[TagBlock, str, int, list[Part]], int] = (
            TagBlock._name if opener and opener == carrier.open else TagBlock._between
        )

    def _step_on(self, text: str, pos: int, out: list[Part]) -> tuple[int, bool]:
        before = self._step
        return before(self, text, pos, out), self._step is not before

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read what is certain now that no more text comes, then the end as `BlockReader.finish` does."""
        self._final = True
        super().finish(tail if cut else tail[self.read(tail, 0, out) :], out, cut=cut)

    # The steps. Each reads one element at `pos` and returns its end, or `pos` itself if it is undecided.

    def _between(self, text: str, pos: int, out: list[Part]) -> int:
        """Read before the first call, between two, or after the last."""
        if space := SPACE.match(text, pos):
            return space.end()
        found = self._tokens.match(text, pos, final=self._final)
        marker = found.marker if found else ""
        end = pos + len(marker)
        if found is not None and not marker:
            return pos
        if marker in self._calls.closes:
            self.done = True
            if not self._is_call:
                self._release(text, end, out)
            self._kept.clear()
            return end
        if marker and marker == self._carrier.open:
            return self._begin(text, pos, out, end)
        if marker and (marker in (*self._carrier.skips, self._carrier.close) or self._is_call is None):
            return end
        if self._is_call and text[pos] in self._calls.codec.superfluous:
            return pos + 1  # a superfluous bracket
        if not marker and not self._carrier.open and (self._carrier.many or self._is_call is None):
            return self._begin(text, pos, out, pos)
        return self._leave_block(text, pos, out)

    def _begin(self, text: str, pos: int, out: list[Part], end: int) -> int:
        if self._is_call is False:
            self._release(text, pos, out)
        elif self._is_call:
            self._drop_markup(text, pos)
        self._is_call = None
        self._step = TagBlock._name
        return end

    def _drop_markup(self, text: str, pos: int) -> None:
        """Drop the text between a call and `pos`, except for the space at its end."""
        before = "".join(self._kept) + text[self._from : pos]
        self._kept = [before[len(before.rstrip()) :]]
        self._from = pos

    def _name(self, text: str, pos: int, out: list[Part]) -> int:
        header = self._header.read(text, pos)
        stop = self._stops.find(text, pos, final=self._final)
        if header is not None and stop is not None and not stop.marker and stop.start < header[1]:
            header = None  # the apparent end of the tag may be part of the next marker
        if not self._is_name(text, pos, header, stop):
            return self._leave_block(text, pos, out)
        if header is None:
            return pos
        inside, end = header
        name = name_in(inside.removeprefix(self._carrier.prefix), self._carrier.attribute)
        self._is_call = name in self._tools
        if not self._is_call and not self._calls.codec.bracketed:
            return self._leave_block(text, end, out)
        if self._is_call:
            self._begin_call(name, (self._carrier.id and attribute_in(inside, self._carrier.id)) or "", out)
        view = self._context.view(name) if self._is_call else SchemaView({})
        self._arguments = self._calls.codec.reader(self._calls.tags, view, self._repairs if self._is_call else [])
        self._step = TagBlock._inside
        return end

    def _is_name(self, text: str, pos: int, header: tuple[str, int] | None, stop: Found | None) -> bool:
        """Whether the text so far may be the tag with a name, and not prose that mentions the opener."""
        if header is None and TagReader.too_long(text, pos):
            return False
        wrong = _NO_TAG if self._carrier.attribute else _NO_NAME
        if header is not None:
            return wrong.search(header[0]) is None
        found = wrong.search(text, pos)
        return found is None or (stop is not None and stop.start <= found.start())

    def _inside(self, text: str, pos: int, out: list[Part]) -> int:
        assert self._arguments is not None
        pos = self._arguments.read(text, pos, final=self._final)
        if not self._is_call:
            self._arguments.out.clear()
        if self._arguments.done:
            self._leave(self._arguments, text, pos, out, complete=True)
        elif self._arguments.stuck:
            found = self._tokens.match(text, pos, final=self._final)
            if found is not None and not found.marker:
                return pos
            complete = found is not None and self._arguments.clean
            ends_with_block = not (self._calls.codec.bracketed or self._carrier.close)
            if self._is_call and not (complete and ends_with_block):
                self._repairs.append("missing-closer" if complete else "broken-call")
            self._leave(self._arguments, text, pos, out, complete=complete)
            if found is None:
                self.done = True
                self.refused = not self._is_call
        return pos

    def _leave(self, arguments: ArgumentReader, text: str, pos: int, out: list[Part], *, complete: bool) -> None:
        super()._leave(arguments, text, pos, out, complete=complete)
        self._step = TagBlock._between

    def _leave_block(self, text: str, pos: int, out: list[Part]) -> int:
        """End the block at text that is not part of it. After a call, the space before that text is text as well."""
        self.done = True
        self.refused = not self._is_call
        if not self.refused:
            self._drop_markup(text, pos)
        self._release(text, pos, out)
        return pos


@lru_cache
def _compile(calls: Calls, carrier: NameTag) -> tuple[TagReader, Markers, Markers]:
    """The reader of the tag with the name, the markers that end it, and those that can come between calls."""
    stops = tuple(filter(None, (calls.codec.begins, carrier.close, *calls.closes, *calls.opens)))
    tokens = filter(None, (*calls.opens, *calls.closes, carrier.open, carrier.close, *carrier.skips))
    header = TagReader(carrier.end, stops, quoted=bool(carrier.attribute))
    return header, Markers(filter(None, (carrier.end, *stops))), Markers(tokens)
