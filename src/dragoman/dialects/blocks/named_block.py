"""F1 after a name: a call's name outside of JSON, then its arguments as one JSON object.

The name is read up to its suffix, or up to text that cannot be part of it (the arguments, a closer, the next opener): models
forget suffixes, and engines that drop special tokens drop them too. A declared name begins the call at once.
"""

from functools import lru_cache
from typing import NamedTuple

from dragoman.dialects.blocks.base import Context
from dragoman.dialects.blocks.json_block import JsonReader
from dragoman.dialects.blocks.raw_text import RawText
from dragoman.dialects.codecs import ArgumentReader
from dragoman.dialects.markdown import FENCE, JSON_FENCES
from dragoman.dialects.markers import SPACE, Markers
from dragoman.dialects.spec import Affixes, Calls, IdInName, IdMark, JsonArguments
from dragoman.json_schema.view import SchemaView
from dragoman.parts import Part

MAX_HEADER = 256
"""Characters of the longest name with its prefix, suffix and id."""


class ToolMessage(NamedTuple):
    """A message to the declared tool `name`; any of `stops` can end it."""

    name: str
    stops: Markers


class NamedBlock(JsonReader):
    """A block of one call. In a `message`, its name is known already."""

    def __init__(self, opener: str, calls: Calls, context: Context, message: ToolMessage | None = None) -> None:
        super().__init__(opener, calls, context)
        self._doubtful = False
        self._ends = context.ends
        self._header = ""
        self._name = self._id = ""
        self._opened = False  # the object of arguments has begun
        self._message = message
        self._raw_key = ""  # the argument whose value is a message without JSON
        if message is not None:
            self._name = message.name
            self._arguments = self._reader()
            if isinstance(calls.codec, JsonArguments) and calls.codec.raw:
                self._raw_key = context.view(message.name).only_string

    def _between(self, text: str, pos: int, out: list[Part]) -> int:
        if self._is_call is None:
            return self._read_header(text, pos, out)
        return super()._between(text, pos, out)

    def _read_header(self, text: str, pos: int, out: list[Part]) -> int:
        found = _header_ends(self._calls, self._ends).find(text, pos, final=False)
        end = found.start if found else len(text)
        if len(self._header) + end - pos > MAX_HEADER:
            return self._refuse(text, pos + MAX_HEADER - len(self._header), out)
        self._header += text[pos:end]
        if found is None or not found.marker:
            return end
        if found.marker in self._calls.opens and not self._header.strip():  # a repeated opener: the second one counts
            self._kept, self._header, self._from = [found.marker], "", end + len(found.marker)
            return self._from
        if found.marker in self._calls.opens or found.marker in self._ends:
            return self._refuse(text, end, out)
        is_suffix = found.marker == _suffix(self._calls)
        if not self._header.strip():
            return end + len(found.marker) if is_suffix and found.marker.isspace() else self._leave_block(text, end, out)
        self._name, self._id = self._parsed_header()
        self._begin(text, end, out)
        assert self._arguments is not None
        self._decide(self._arguments, out)
        return end + len(found.marker) if is_suffix else end

    def _reader(self) -> ArgumentReader:
        view = self._context.view(self._name) if self._name in self._tools else SchemaView({})
        return self._calls.codec.reader(self._calls.tags, view, self._object_repairs)

    def _decide(self, call: ArgumentReader, out: list[Part]) -> None:
        self._is_call = self._name in self._tools
        if self._is_call:
            self._begin_call(self._name, self._id, out)

    def _parsed_header(self) -> tuple[str, str]:
        """The name and the id in the header."""
        header, ids = self._header.strip(), self._calls.ids
        prefix = self._calls.carrier.prefix if isinstance(self._calls.carrier, Affixes) else ""
        name = header.removeprefix(prefix).strip()
        if isinstance(ids, IdMark):
            name, _, id_ = map(str.strip, name.partition(ids.mark))
            return name, id_
        if isinstance(ids, IdInName):
            before, _, number = name.rpartition(ids.mark)
            return (before, header) if number.isdigit() else (name, "")
        return name, ""

    def _inside(self, call: ArgumentReader, text: str, pos: int, out: list[Part]) -> int:
        if self._is_call is None:
            self._decide(call, out)
        if not self._opened:
            if space := SPACE.match(text, pos):
                return space.end()
            if self._may_become_closer(text, pos):
                return pos
            if self._message and self._raw_key and text[pos] not in "{\"'`" and not self._closer(text, pos):
                self._arguments = call = RawText(self._raw_key, self._message.stops)
            elif (end := self._pass_fence(text, pos)) > pos:
                return end
            self._opened = True
        return super()._inside(call, text, pos, out)

    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end as `CallReader.finish` describes."""
        if isinstance(self._arguments, RawText):
            self._arguments.read(tail, 0, final=True)
        super().finish(tail, out, cut=cut)

    def _fences(self) -> tuple[str, ...]:
        if self._fenced:
            return (FENCE,)
        return () if self._opened or self._arguments is None else JSON_FENCES

    def _refuse(self, text: str, end: int, out: list[Part]) -> int:
        self.done = self.refused = True
        self._release(text, end, out)
        return end


def _suffix(calls: Calls) -> str:
    return calls.carrier.suffix if isinstance(calls.carrier, Affixes) else ""


@lru_cache
def _header_ends(calls: Calls, ends: tuple[str, ...]) -> Markers:
    return Markers(filter(None, ("{", FENCE, _suffix(calls), *calls.closes, *calls.opens, *ends)))
