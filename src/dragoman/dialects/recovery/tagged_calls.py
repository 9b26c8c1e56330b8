# ruff: noqa: RUF002  (the bars are part of the tokens)
"""Calls whose tag holds the name, with arguments between tags, as one JSON object, or as elements named after them.

    <function=add><parameter=a>1</parameter></function>
    <invoke name="add"><parameter name="a">1</parameter></invoke>          with any prefix: `minimax:`, `｜DSML｜`
    <function=add>{"a": 1}</function>
    <add><a>1</a></add>
    <invoke name="now"/>

Nothing is escaped in a value, so its closer ends it only if markup that may come after a value follows.
"""

import re
from collections.abc import Mapping
from typing import Any

from dragoman.dialects.recovery.acceptance import Call, Tools
from dragoman.dialects.recovery.fences import FENCE, close_fence, open_fence
from dragoman.dialects.recovery.json_calls import read_value
from dragoman.dialects.recovery.pair_calls import read_pairs
from dragoman.dialects.recovery.source import NoCall, Source
from dragoman.dialects.recovery.tags import Role, Tag, tag_at
from dragoman.json_schema.view import SchemaView

MAX_TREE = 32
"""Levels of the deepest tree of elements."""

_TAG_BEGINS = re.compile(r"[<\]]")
_CDATA = re.compile(r"\s*<!\[CDATA\[(.*?)\]\]>\s*", re.DOTALL)


def read_tagged_call(source: Source, tag: Tag, tools: Tools) -> tuple[Call, int]:
    """The call that begins with `tag`, and its end."""
    if tag.empty:
        return _accepted(tag.name, {}, tools, tag.end), tag.end
    return read_arguments(source, tag.end, tag.name, tools, word=tag.word)


def read_arguments(source: Source, pos: int, name: str, tools: Tools, *, word: str = "") -> tuple[Call, int]:
    """The call of `name` whose arguments begin at `pos`, and its end; `word` is the word of its tag."""
    pos = source.skip_space(pos)
    char = source.text[pos : pos + 1]
    if char in ("{", FENCE[0]):
        fenced = char != "{"
        pos = source.skip_space(open_fence(source, pos)) if fenced else pos
        if not source.text.startswith("{", pos):
            raise NoCall(pos)
        value, pos = read_value(source, pos)
        pos = close_fence(source, source.skip_space(pos)) if fenced else pos
        return _accepted(name, value, tools, pos), _pass_closer(source, pos, word, tools)
    found = tag_at(source, pos, tools) if char else None
    if found is not None and found.role in (Role.KEY, Role.VALUE):
        values, pos = read_pairs(source, pos, "", tools.schema(name).keys, tools)
        return _typed(name, values, tools, pos), _pass_closer(source, pos, word, tools)
    arguments, pos = _Elements(source, name, tools, word).read(pos)
    return _accepted(name, arguments, tools, pos), _pass_closer(source, pos, word, tools)


def _pass_closer(source: Source, pos: int, word: str, tools: Tools) -> int:
    """The end of the call's own closer, or `pos` if it is missing."""
    start = source.skip_space(pos)
    tag = tag_at(source, start, tools) if start < len(source.text) else None
    is_own = tag is not None and tag.closes and (tag.role is Role.CALL or tag.word == word)
    return tag.end if tag is not None and is_own else pos


class _Elements:
    """Reads the arguments of one call, each between tags."""

    def __init__(self, source: Source, name: str, tools: Tools, word: str) -> None:
        self._source, self._tools, self._word = source, tools, word
        self._schema = tools.schema(name)
        self._keys = frozenset(self._schema.keys)

    def read(self, pos: int) -> tuple[dict[str, Any], int]:
        """The arguments from `pos` on, and their end, which is before the closer of the call."""
        arguments: dict[str, Any] = {}
        while True:
            pos = self._source.skip_space(pos)
            if self._source.lacks_closer(pos):
                return arguments, pos
            tag = tag_at(self._source, pos, self._tools)
            if tag is None:
                raise NoCall(pos)
            key = self._key(tag)
            if not key:
                if self._ends_call(tag):
                    return arguments, pos
                if tag.closes and tag.role is Role.PARAMETER:  # a repeated closer
                    pos = tag.end
                    continue
                raise NoCall(pos)
            if key in arguments or (self._keys and key not in self._keys):
                raise NoCall(pos)
            written, pos = self._written(tag, key, arguments)
            arguments[key] = _value(self._source, written, tag, self._schema.member(key), self._tools)

    def _key(self, tag: Tag) -> str:
        """The argument that begins with this tag, or ""."""
        if tag.closes:
            return ""
        if tag.role is Role.PARAMETER and tag.name:
            return tag.name
        return tag.word if tag.word in self._keys else ""

    def _unread(self, key: str, given: Mapping[str, Any]) -> frozenset[str]:
        """The declared arguments that have not come before the value of `key`."""
        return self._keys - given.keys() - {key}

    def _ends_call(self, tag: Tag) -> bool:
        """Whether this tag may follow the last argument."""
        return tag.role in (Role.CALL, Role.WRAPPER) or (tag.closes and tag.word == self._word)

    def _written(self, tag: Tag, key: str, given: Mapping[str, Any]) -> tuple[str, int]:
        """The text between `tag` and its closer, and the closer's end; without a closer it ends at the next element."""
        source, pos = self._source, tag.end
        if tag.empty:
            return "", pos
        if tag.attribute("type") in ("dict", "list"):
            end, pos = _closer(source, tag, self._tools)
            return source.text[tag.end : end], pos
        while found := _TAG_BEGINS.search(source.text, pos):
            pos = found.start()
            inner = tag_at(source, pos, self._tools)
            if inner is None:
                pos += 1
                continue
            is_own = inner.word == tag.word or (inner.role is tag.role is Role.PARAMETER)
            if inner.closes and (is_own or self._ends_call(inner)):
                if self._is_confirmed(inner.end):
                    return source.text[tag.end : pos], inner.end if is_own else pos
            elif (other := self._key(inner)) and other in self._unread(key, given) and inner.role is tag.role:
                return source.text[tag.end : pos], pos
            pos = inner.end
        source.expect_more()
        raise NoCall(len(source.text))

    def _is_confirmed(self, pos: int) -> bool:
        """Whether the text at `pos` may follow a value."""
        pos = self._source.skip_space(pos)
        if self._source.at_end(pos):
            return True
        tag = tag_at(self._source, pos, self._tools)
        if tag is None:
            return False
        return bool(self._key(tag)) or self._ends_call(tag) or (tag.closes and tag.role is Role.PARAMETER)


def _value(source: Source, written: str, tag: Tag, schema: SchemaView, tools: Tools) -> Any:
    """A value as JSON, typed by its tag or by the schema."""
    if cdata := _CDATA.fullmatch(written):
        written = cdata[1]
    if written.startswith("\n") and written.endswith("\n") and len(written) > 1:
        written = written[1:-1]
    type_ = tag.attribute("string") or tag.attribute("type")
    if type_ in ("true", "raw"):
        return written
    if schema.plain_kinds & {"object", "array"} and written.lstrip()[:1] in ("<", "]"):
        tree, end = _tree(Source(written, final=True), 0, schema, tools, 0)
        if not written[end:].strip():
            return tree
        raise NoCall(tag.end)
    return tools.value(schema, written)


def _tree(source: Source, pos: int, schema: SchemaView, tools: Tools, depth: int) -> tuple[Any, int]:
    """Elements as an object, or as an array if the schema says so, up to text that is not an opening tag."""
    is_array = "array" in schema.plain_kinds
    found: list[tuple[str, Any]] = []
    while (pos := source.skip_space(pos)) < len(source.text):
        tag = tag_at(source, pos, tools)
        if tag is None or tag.closes or depth > MAX_TREE:
            break
        key = tag.name if tag.role is Role.PARAMETER and tag.name else tag.word
        inner = schema.element(len(found)) if is_array else schema.member(key)
        end = _closer(source, tag, tools)
        written = source.text[tag.end : end[0]]
        if inner.plain_kinds & {"object", "array"} and written.lstrip()[:1] in ("<", "]"):
            value, _ = _tree(Source(written, final=True), 0, inner, tools, depth + 1)
        else:
            value = tools.value(inner, written)
        found.append((key, value))
        pos = end[1]
    return ([value for _, value in found] if is_array else dict(found)), pos


def _closer(source: Source, tag: Tag, tools: Tools) -> tuple[int, int]:
    """The start and the end of the closer of the element that `tag` opens."""
    pos, depth = tag.end, 0
    while found := _TAG_BEGINS.search(source.text, pos):
        inner = tag_at(source, found.start(), tools)
        pos = inner.end if inner else found.end()
        if inner is not None and inner.word == tag.word and not inner.empty:
            if inner.closes and not depth:
                return found.start(), pos
            depth += -1 if inner.closes else 1
    source.expect_more()
    raise NoCall(tag.end)


def _typed(name: str, values: Mapping[str, str], tools: Tools, pos: int) -> Call:
    arguments = tools.typed(name, values)
    if arguments is None:
        raise NoCall(pos)
    return _accepted(name, arguments, tools, pos)


def _accepted(name: str, arguments: Any, tools: Tools, pos: int) -> Call:
    call = tools.accept(name, arguments) if name in tools and isinstance(arguments, dict) else None
    if call is None:
        raise NoCall(pos)
    return call
