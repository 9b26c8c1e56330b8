"""Arguments as pairs of tags, `<arg_key>a</arg_key><arg_value>1</arg_value>`, with tags missing, repeated or swapped.

The texts between the tags are read alternately as a key and as a value, whatever the tags are, as long as every key is one that
the tool declares. The first key may come right after the call's name.
"""

import re
from collections.abc import Collection, Sequence

from dragoman.dialects.recovery.acceptance import Call, Tools
from dragoman.dialects.recovery.source import NoCall, Source
from dragoman.dialects.recovery.tags import Role, tag_at

_TAG_BEGINS = re.compile("[<]")


def read_pair_call(source: Source, pos: int, tools: Tools) -> tuple[Call, int]:
    """The call whose name is at `pos`, and its end, which is before the closer of the block."""
    before, tag_start = _text_before_tag(source, pos)
    name, key = _name_and_key(before.strip(), tools)
    if not name:
        raise NoCall(pos)
    values, end = read_pairs(source, tag_start, key, tools.schema(name).keys, tools)
    tag = tag_at(source, end, tools) if end < len(source.text) else None
    if tag is not None and tag.role is Role.SEPARATOR:
        raise NoCall(end)
    arguments = tools.typed(name, values)
    call = tools.accept(name, arguments) if arguments is not None else None
    if call is None:
        raise NoCall(end)
    return call, end


def read_pairs(source: Source, pos: int, key: str, keys: Sequence[str], tools: Tools) -> tuple[dict[str, str], int]:
    """The values by their keys from the tag at `pos` on, and the end of the pairs. `key` is the first key if it came before."""
    values: dict[str, str] = {}
    in_value = False  # the tag of a value has just been opened
    while True:
        start = pos if key and in_value else source.skip_space(pos)
        if source.lacks_closer(start):
            break
        tag = tag_at(source, start, tools)
        if tag is not None and tag.role in (Role.KEY, Role.VALUE) and not (key and in_value and tag.closes):
            in_value, pos = tag.role is Role.VALUE and not tag.closes, tag.end
        elif key and (in_value or tag is None):
            values[key], pos = _value(source, start)
            key, in_value = "", False
        elif tag is None:
            key, pos = _key(source, start, values.keys(), keys)
            in_value = False
        else:
            break
    if key:
        raise NoCall(pos)
    return values, pos


def _key(source: Source, pos: int, given: Collection[str], keys: Collection[str]) -> tuple[str, int]:
    written, end = _text_before_tag(source, pos)
    key = written.strip()
    if not key or key in given or (keys and key not in keys):
        raise NoCall(pos)
    return key, end


def _text_before_tag(source: Source, pos: int) -> tuple[str, int]:
    """The text from `pos` to the next tag, and the start of that tag."""
    found = _TAG_BEGINS.search(source.text, pos)
    if found is None:
        source.expect_more()
        return source.text[pos:], len(source.text)
    return source.text[pos : found.start()], found.start()


def _value(source: Source, pos: int) -> tuple[str, int]:
    """The text from `pos` to the next tag of a pair or of the block, and the start of that tag."""
    start = pos
    while found := _TAG_BEGINS.search(source.text, pos):
        tag = tag_at(source, found.start(), ())
        if tag is not None and (tag.role in (Role.KEY, Role.VALUE) or (tag.role is Role.WRAPPER and tag.closes)):
            return source.text[start : found.start()], found.start()
        pos = found.end()
    source.expect_more()
    return source.text[start:], len(source.text)


def _name_and_key(text: str, tools: Tools) -> tuple[str, str]:
    """A tool's name, and the first of its keys if that comes after the name; "" for none."""
    if name := tools.named(text):
        return name, ""
    for name in sorted(tools.schemas, key=len, reverse=True):
        if text.startswith(name) and (key := text[len(name) :].strip()) in tools.schema(name).keys:
            return name, key
    return "", ""
