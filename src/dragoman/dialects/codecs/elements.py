"""F5: arguments as a tree of elements: one child for each key of an object, one `item` for each element of an array.

Whether an element holds text or children is known from what its tag or the schema says of it, else from what it begins with.
The text of a leaf is not escaped: as with tagged parameters, its closer counts only with an edge behind.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from dragoman.dialects.codecs.arguments import ArgumentReader
from dragoman.dialects.codecs.json_value import MAX_DEPTH
from dragoman.dialects.codecs.tags import Header, attribute_in, name_in
from dragoman.dialects.codecs.typed import Leaf, escape
from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Calls, ElementArguments, NameTag
from dragoman.json_schema.view import ANY, STRING, SchemaView

MAX_GAP = 256
"""No more space than this is looked past to see what follows a closer."""

_SPACE = re.compile(r"\s+")
_GAP = re.compile(rf"\s{{0,{MAX_GAP}}}")
_TYPES = {"raw": STRING, "json": ANY, "dict": frozenset({"object"}), "list": frozenset({"array"})}


class _Holds(Enum):
    """What an element holds."""

    UNKNOWN = auto()
    TEXT = auto()
    OBJECT = auto()
    ARRAY = auto()


@dataclass(slots=True)
class _Element:
    """An open element."""

    closer: str
    view: SchemaView
    kinds: frozenset[str]
    leaf: Leaf
    holds: _Holds
    space: str = ""  # behind the tag, while it is not known whether it is text
    children: int = 0


class Elements(ArgumentReader):
    """The arguments of one call."""

    def __init__(self, calls: Calls, carrier: NameTag, codec: ElementArguments, view: SchemaView, repairs: list[str]) -> None:
        super().__init__()
        self._codec = codec
        self._repairs = repairs
        self._header = Header(codec.end, (), quoted=bool(codec.attribute))
        self._calls_end = (carrier.close, *calls.closes)
        self._tokens = _markers((codec.open, codec.close.partition("{}")[0], *self._calls_end))
        self._in_tag = False
        root = _Element(carrier.close, view, frozenset(), Leaf(STRING, repairs), _Holds.OBJECT)
        self._open = [root]

    @property
    def clean(self) -> bool:
        """As `ArgumentReader.clean`: containers may lack their closers, leaves may not."""
        return not self._in_tag and all(element.holds in (_Holds.OBJECT, _Holds.ARRAY) for element in self._open)

    @property
    def may_end(self) -> bool:
        """As `ArgumentReader.may_end`."""
        return not self._in_tag and len(self._open) <= 1

    def close(self) -> None:
        """As `ArgumentReader.close`."""
        while self._open:
            element = self._open.pop()
            self.out.append(element.leaf.close() if element.holds is _Holds.TEXT else self._ending(element))
        self._in_tag = False
        self.done = True

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """As `ArgumentReader.read`."""
        self.stuck = False
        while pos < len(text) and not self.done and not self.stuck:
            before = pos, self._in_tag
            top = self._open[-1]
            if self._in_tag:
                pos = self._tag(text, pos)
            elif top.holds is _Holds.TEXT:
                pos = self._text(top, text, pos, final=final)
            else:
                pos = self._content(top, text, pos, final=final)
            if (pos, self._in_tag) == before:
                break
        return pos

    def _content(self, top: _Element, text: str, pos: int, *, final: bool) -> int:
        """What stands in an element that is not known to hold text."""
        if space := _SPACE.match(text, pos):
            top.space += space.group()
            return space.end()
        found = self._tokens.match(text, pos, final=final)
        if found is not None and not found.marker:
            return pos
        if found is not None and found.marker == self._codec.open:
            self._in_tag = True
            return pos + len(found.marker)
        if found is None and top.holds is _Holds.UNKNOWN:
            top.holds = _Holds.TEXT
            self.out.append(top.leaf.write(top.space))
            return self._text(top, text, pos, final=final)
        closing = next((element for element in reversed(self._open) if text.startswith(element.closer, pos)), None)
        if closing is None:
            could_close = any(element.closer.startswith(text[pos:]) for element in self._open)
            self.stuck = final or not could_close
            return pos
        while self._open[-1] is not closing:
            self._repairs.append("missing-closer")
            self._end()
        self._end()
        return pos + len(closing.closer)

    def _tag(self, text: str, pos: int) -> int:
        """The rest of an opening tag."""
        header = self._header.read(text, pos)
        if header is None or len(self._open) > MAX_DEPTH:
            self.stuck = Header.too_long(text, pos) or len(self._open) > MAX_DEPTH
            return pos
        inside, end = header
        name = name_in(inside, self._codec.attribute)
        parent = self._open[-1]
        if not name and parent.holds is _Holds.OBJECT and name not in parent.view.keys:
            self.stuck = True
            return pos
        self._in_tag = False
        if parent.holds is _Holds.UNKNOWN:
            is_array = "object" not in parent.kinds and ("array" in parent.kinds or name == self._codec.item)
            parent.holds = _Holds.ARRAY if is_array else _Holds.OBJECT
            self.out.append("[" if is_array else "{")
        elif not parent.children and len(self._open) == 1:
            self.out.append("{")
        self.out.append(", " if parent.children else "")
        parent.children += 1
        is_member = parent.holds is _Holds.OBJECT
        if is_member:
            self.out.append(f'"{escape(name)}": ')
        view = parent.view.member(name) if is_member else parent.view.element(parent.children - 1)
        self._begin(view, name, inside)
        return end

    def _begin(self, view: SchemaView, name: str, inside: str) -> None:
        said = attribute_in(inside, self._codec.type_attribute) if self._codec.type_attribute else None
        kinds = _TYPES.get(said, frozenset({said})) if said else view.plain_kinds
        holds = _Holds.TEXT if kinds == STRING or said == "json" else _Holds.UNKNOWN
        self._open.append(_Element(self._codec.close.format(name), view, kinds, Leaf(kinds, self._repairs), holds))

    def _text(self, top: _Element, text: str, pos: int, *, final: bool) -> int:
        found = _markers((top.closer, *self._calls_end)).find(text, pos, final=final)
        if found is None or found.start > pos:
            end = len(text) if found is None else found.start
            self.out.append(top.leaf.write(text[pos:end]))
            return end
        end = pos + len(found.marker)
        ends = self._has_edge(found.marker, text, end, final=final) if found.marker else None
        if ends is None:
            return pos
        if not ends:
            self.out.append(top.leaf.write(text[pos]))
            return pos + 1
        self._end()
        if found.marker == top.closer:
            return end
        self._repairs.append("missing-closer")
        return pos

    def _has_edge(self, closer: str, text: str, end: int, *, final: bool) -> bool | None:
        """Does something follow that may follow a leaf: the next element, the end of its parent or of the call? None: not yet.

        Where the leaf's own closer is missing, the call's has to be followed by the block's, and that by the end.
        """
        gap = _GAP.match(text, end)
        start = gap.end() if gap else end
        if start == len(text):
            return final or (None if start - end < MAX_GAP else False)
        call_close, *block_closes = self._calls_end
        edges: tuple[str, ...] = (self._codec.open, self._codec.open + "/", self._open[-2].closer, *self._calls_end)
        if closer in self._calls_end:
            edges = tuple(block_closes) if closer == call_close else ()
        found = _markers(edges).match(text, start, final=final)
        if found is not None and not found.marker:
            return None
        return found is not None and found.marker != self._codec.open + "/"

    def _end(self) -> None:
        element = self._open.pop()
        self.out.append(element.leaf.end() if element.holds is _Holds.TEXT else self._ending(element))
        self.done = not self._open

    def _ending(self, element: _Element) -> str:
        """What closes an element that holds children or nothing."""
        if element.children:
            return "]" if element.holds is _Holds.ARRAY else "}"
        if not self._open or "object" in element.kinds:
            return "{}"
        if "array" in element.kinds:
            return "[]"
        return "null" if "null" in element.kinds and "string" not in element.kinds else '""'


@lru_cache(maxsize=1024)
def _markers(markers: tuple[str, ...]) -> Markers:
    return Markers(markers)
