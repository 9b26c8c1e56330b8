# ruff: noqa: RUF002  (the bars are part of the tokens)
"""Calls that begin with a name: `add{"a": 1}`, `add(a=1)`, `call:add{a:1}`, `functions.add:0` and its arguments.

Between the name and the arguments may come a separator of some family (`[ARGS]`, `<｜tool▁sep｜>`), a newline, a fence.
"""

import json
import re
from typing import Any

from dragoman.dialects.recovery.acceptance import Call, Tools
from dragoman.dialects.recovery.pair_calls import read_pair_call
from dragoman.dialects.recovery.source import NoCall, Source
from dragoman.dialects.recovery.tagged_calls import read_arguments
from dragoman.dialects.recovery.tags import Role, tag_at
from dragoman.dialects.values.literal_value import LiteralValue
from dragoman.dialects.values.token_string import token_string
from dragoman.json_schema.view import STRING

MAX_NAME = 256
"""Characters of the longest name with its prefix and suffix."""

PREFIXES = ("functions.", "function.", "tools.", "tool.", "call:", "function:")
"""Prefixes that models write before a tool's name."""

NAME = re.compile(r"[A-Za-z_][\w.\-/@:]*")
_PREFIX = re.compile(r"(?:call|function|tool)[:.]")
_SUFFIX = re.compile(r"(?::[0-9]+|\.call)$")
_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_QUOTES = ('<|"|>', "<escape>")


def read_name(source: Source, pos: int, tools: Tools) -> tuple[str, int]:
    """The declared tool whose name is at `pos`, and the name's end. Raises `NoCall` as soon as there cannot be one."""
    found = NAME.match(source.text, pos)
    if found is None:
        raise NoCall(pos + 1)
    written = found.group()
    if found.end() == len(source.text) and len(written) < MAX_NAME:
        plain = _PREFIX.sub("", written)
        if tools.may_become(plain) or tools.named(_without_affixes(written)) or any(p.startswith(plain) for p in PREFIXES):
            source.expect_more()
    name = tools.named(_without_affixes(written)) or tools.named(written)
    if not name:
        raise NoCall(found.end())
    return name, found.end()


def _without_affixes(written: str) -> str:
    return _SUFFIX.sub("", _PREFIX.sub("", written) if not written.startswith("functions.") else written)


def read_named_call(source: Source, pos: int, tools: Tools, *, tagged: bool, listed: bool = False) -> tuple[Call, int]:
    """The call whose name is at `pos`, and its end.

    `tagged`: markup around it says that it is a call; `listed`: it is an element of a list in brackets.
    """
    if tagged:
        try:
            return read_pair_call(source, pos, tools)
        except NoCall:
            pass
    name, end = read_name(source, pos, tools)
    start = skip_separators(source, end, tools)
    char = source.text[start : start + 1]
    if char == "(":
        return _read_literal(source, start + 1, name, tools, bare=not (tagged or listed))
    if char == "{":
        try:
            return read_arguments(source, start, name, tools)
        except NoCall:
            return _read_literal(source, start, name, tools, bare=False)
    if tagged and char == "`":
        return read_arguments(source, start, name, tools)
    tag = tag_at(source, start, tools) if tagged and char else None
    if tag is not None and not tag.closes and tag.role in (Role.PARAMETER, Role.KEY):
        return read_arguments(source, start, name, tools)
    if not tagged or (char and (tag is None or not (tag.closes or tag.role is Role.WRAPPER))):
        raise NoCall(start)
    source.lacks_closer(start)
    without = tools.accept(name, {})
    if without is None:
        raise NoCall(start)
    return without, end


def _read_literal(source: Source, pos: int, name: str, tools: Tools, *, bare: bool) -> tuple[Call, int]:
    """Read a dict at `pos`, or the keyword arguments of a call after its parenthesis; `bare` ones need to have names."""
    schema = tools.schema(name)
    begun = source.text.find("<", pos)
    quote = (source.literal(begun, *_QUOTES) if begun >= 0 else "") or _QUOTES[0]
    repairs: list[str] = []
    literal = LiteralValue(repairs, token_string(quote, (), ()), lambda key: schema.member(key).kinds == STRING, schema.keys)
    if source.text[pos - 1 : pos] == "(":
        literal.open_keywords()
    else:
        literal.open_object()
        pos += 1
    literal.final = source.final
    end = literal.read(source.text, pos)
    if not literal.done:
        if not literal.stuck:
            source.expect_more()
        raise NoCall(end)
    arguments: Any = json.loads("".join(literal.out))
    known = not schema.keys or set(arguments) <= set(schema.keys)
    doubtful = "bracket" in repairs or (bare and (not arguments or "positional" in repairs))
    call = tools.accept(name, arguments) if known and not doubtful else None
    if call is None:
        raise NoCall(end)
    return call, end


def skip_separators(source: Source, pos: int, tools: Tools) -> int:
    """The position after any space and separators between a name and its arguments."""
    while (pos := source.skip_space(pos)) < len(source.text):
        tag = tag_at(source, pos, tools)
        if tag is None or tag.role is not Role.SEPARATOR:
            break
        pos = tag.end
        if tag.word in ("CALL_ID", "constrain"):
            found = source.match(_ID, pos)
            pos = found.end() if found else pos
    return pos
