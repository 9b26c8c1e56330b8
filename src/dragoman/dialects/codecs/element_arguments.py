"""F5: arguments as a tree of elements: one child for each key of an object, one `item` for each element of an array.

Whether an element holds text or children follows from its tag or from the schema, else from its first characters. The text of
a leaf is not escaped: as with tagged parameters, its closer counts only if markup that may come after it follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Any, ClassVar

from dragoman.constraints.tree import Literal, Node, Repeat, Series
from dragoman.dialects.codecs.codec import ArgumentReader, CallTags, Codec
from dragoman.dialects.codecs.rules import Rules, object_place, optional, plain, repeats
from dragoman.dialects.markers import MAX_GAP, SPACE, Markers, skip_gap
from dragoman.dialects.tag_reader import TagReader, attribute_in, name_in
from dragoman.dialects.values.json_text import dumps, escape, json_type
from dragoman.dialects.values.json_value import MAX_DEPTH
from dragoman.dialects.values.typed import TypedValue
from dragoman.json_schema.place import Place
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import ANY, STRING, SchemaView

_END = ">"
_PLACEHOLDER = "\ufdd0"
_TYPES = {"raw": STRING, "json": ANY, "dict": frozenset({"object"}), "list": frozenset({"array"})}


@dataclass(frozen=True, slots=True)
class ElementArguments(Codec):
    """F5: the arguments are a tree of elements, one per key of an object or item of an array: `<tags><item>x</item></tags>`."""

    bracketed: ClassVar[bool] = False

    open: str
    """Begins a tag, which ends with `>`, as `<`."""
    close: str
    """Closes an element, as `</{}>`; `{}` is its name."""
    attribute: str = ""
    """The attribute that holds the name; "": the tag holds only the name."""
    item: str = ""
    """The name of an array's elements; "": they have none."""
    type_attribute: str = ""
    """The attribute that says what an element holds: `raw` (a string), `json`, `dict` or `list`."""

    @property
    def begins(self) -> str:
        """The beginning of a tag."""
        return self.open

    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        """Return a reader of the tree, whose root is the call."""
        return _Elements(self, tags, view, repairs)

    def write(self, arguments: Mapping[str, Any]) -> str:
        """Write the children of the root."""
        return self._children(arguments)

    def _children(self, value: Mapping[str, Any] | Sequence[Any]) -> str:
        """The child elements of an object or array."""
        if isinstance(value, Mapping):
            return "".join(self._element(key, inner) for key, inner in value.items())
        return "".join(self._element(self.item, inner) for inner in value)

    def _element(self, name: str, value: Any) -> str:
        kind = json_type(value)
        text = value if isinstance(value, str) else self._children(value) if kind in ("object", "array") else dumps(value)
        return self._around(name, text, kind)

    def _around(self, name: str, text: str, kind: str) -> str:
        """An element of that name that holds an already written value of that JSON type."""
        tag = self.open + (f' {self.attribute}="{name}"' if self.attribute and name else name)
        if self.type_attribute:
            holds = {"string": "raw", "object": "dict", "array": "list"}.get(kind, "json")
            tag += f' {self.type_attribute}="{holds}"'
        return tag + _END + text + self.close.format(name)

    def constraint(self, schema: Schema, rules: Rules) -> Node:
        """Require the elements in the order of the schema."""
        return self._members(object_place(schema), rules)

    def _members(self, place: Place, rules: Rules) -> Node:
        return Series([optional(self._child(name, inner, rules), required) for name, inner, required in place.properties])

    def _child(self, name: str, place: Place, rules: Rules) -> Node:
        return rules.recursive(place, partial(self._child_of, name, rules), name)

    def _child_of(self, name: str, rules: Rules, place: Place) -> Node:
        """An element as `_element` writes it."""
        values = place.values
        kind = place.kind or (json_type(values[0]) if values else "string")
        before, after = self._around(name, _PLACEHOLDER, kind).split(_PLACEHOLDER)
        if kind == "object":
            return Series((Literal(before), Series((self._members(place, rules), Literal(after)))))
        if kind == "array":
            items = Repeat(self._child(self.item, place.items, rules), *repeats(place))
            return Series((Literal(before), Series((items, Literal(after)))))
        return Series((Literal(before), plain(place, kind, after)))


class _Content(Enum):
    """The content of an element."""

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
    leaf: TypedValue
    content: _Content
    space: str = ""  # after the tag, while it is not known whether it is text
    children: int = 0


class _Elements(ArgumentReader):
    """Reads the arguments of one call."""

    def __init__(self, codec: ElementArguments, tags: CallTags, view: SchemaView, repairs: list[str]) -> None:
        super().__init__()
        self._codec = codec
        self._repairs = repairs
        self._header = TagReader(_END, (), quoted=bool(codec.attribute))
        self._calls_end = (tags.call_close, *tags.closes)
        self._tokens = _markers((codec.open, codec.close.partition("{}")[0], *self._calls_end))
        self._in_tag = False
        root = _Element(tags.call_close, view, frozenset(), TypedValue(STRING, repairs), _Content.OBJECT)
        self._open = [root]

    @property
    def clean(self) -> bool:
        """Whether no leaf is open: containers may lack their closers."""
        return not self._in_tag and all(element.content in (_Content.OBJECT, _Content.ARRAY) for element in self._open)

    @property
    def may_end(self) -> bool:
        """Whether no element is open."""
        return not self._in_tag and len(self._open) <= 1

    def close(self) -> None:
        """End the arguments, and all open elements, here."""
        while self._open:
            element = self._open.pop()
            self.out.append(element.leaf.close() if element.content is _Content.TEXT else self._ending(element))
        self._in_tag = False
        self.done = True

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes."""
        self.stuck = False
        while pos < len(text) and not self.done and not self.stuck:
            before = pos, self._in_tag
            top = self._open[-1]
            if self._in_tag:
                pos = self._tag(text, pos)
            elif top.content is _Content.TEXT:
                pos = self._text(top, text, pos, final=final)
            else:
                pos = self._read_content(top, text, pos, final=final)
            if (pos, self._in_tag) == before:
                break
        return pos

    def _read_content(self, top: _Element, text: str, pos: int, *, final: bool) -> int:
        """Read the content of an element that is not known to hold text."""
        if space := SPACE.match(text, pos):
            top.space += space.group()
            return space.end()
        found = self._tokens.match(text, pos, final=final)
        if found is not None and not found.marker:
            return pos
        if found is not None and found.marker == self._codec.open:
            self._in_tag = True
            return pos + len(found.marker)
        if found is None and top.content is _Content.UNKNOWN:
            top.content = _Content.TEXT
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
        """Read the rest of an opening tag."""
        header = self._header.read(text, pos)
        if header is None or len(self._open) > MAX_DEPTH:
            self.stuck = TagReader.too_long(text, pos) or len(self._open) > MAX_DEPTH
            return pos
        inside, end = header
        name = name_in(inside, self._codec.attribute)
        parent = self._open[-1]
        if not name and parent.content is _Content.OBJECT and name not in parent.view.keys:
            self.stuck = True
            return pos
        self._in_tag = False
        if parent.content is _Content.UNKNOWN:
            is_array = "object" not in parent.kinds and ("array" in parent.kinds or name == self._codec.item)
            parent.content = _Content.ARRAY if is_array else _Content.OBJECT
            self.out.append("[" if is_array else "{")
        elif not parent.children and len(self._open) == 1:
            self.out.append("{")
        self.out.append(", " if parent.children else "")
        parent.children += 1
        is_member = parent.content is _Content.OBJECT
        if is_member:
            self.out.append(f'"{escape(name)}": ')
        view = parent.view.member(name) if is_member else parent.view.element(parent.children - 1)
        self._begin(view, name, inside)
        return end

    def _begin(self, view: SchemaView, name: str, inside: str) -> None:
        type_ = attribute_in(inside, self._codec.type_attribute) if self._codec.type_attribute else None
        kinds = _TYPES.get(type_, frozenset({type_})) if type_ else view.plain_kinds
        content = _Content.TEXT if kinds == STRING or type_ == "json" else _Content.UNKNOWN
        self._open.append(_Element(self._codec.close.format(name), view, kinds, TypedValue(kinds, self._repairs), content))

    def _text(self, top: _Element, text: str, pos: int, *, final: bool) -> int:
        found = _markers((top.closer, *self._calls_end)).find(text, pos, final=final)
        if found is None or found.start > pos:
            end = len(text) if found is None else found.start
            self.out.append(top.leaf.write(text[pos:end]))
            return end
        end = pos + len(found.marker)
        ends = self._is_confirmed(found.marker, text, end, final=final) if found.marker else None
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

    def _is_confirmed(self, closer: str, text: str, end: int, *, final: bool) -> bool | None:
        """Whether the markup that follows may follow a leaf: an element, the end of its parent or of the call. None: undecided.

        If the leaf's own closer is missing, the call's has to be followed by the block's, and that by the end.
        """
        start = skip_gap(text, end)
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
        self.out.append(element.leaf.end() if element.content is _Content.TEXT else self._ending(element))
        self.done = not self._open

    def _ending(self, element: _Element) -> str:
        """The JSON that closes an element with children, or the JSON of an empty one."""
        if element.children:
            return "]" if element.content is _Content.ARRAY else "}"
        if not self._open or "object" in element.kinds:
            return "{}"
        if "array" in element.kinds:
            return "[]"
        return "null" if "null" in element.kinds and "string" not in element.kinds else '""'


@lru_cache(maxsize=1024)
def _markers(markers: tuple[str, ...]) -> Markers:
    return Markers(markers)
