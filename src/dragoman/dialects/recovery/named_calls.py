# ruff: noqa: RUF002  (the bars are part of the tokens)
"""Calls that begin with a name in the open: `add{"a": 1}`, `add(a=1)`, `call:add{a:1}`, `functions.add:0` and its arguments.

Between the name and the arguments may stand a family's mark (`[ARGS]`, `<｜tool▁sep｜>`), a line's end, a fence.
"""

import json
import re
from typing import Any

from dragoman.dialects.codecs.literal import LiteralValue
from dragoman.dialects.recovery.acceptance import Call, Tools
from dragoman.dialects.recovery.pair_calls import read_pair_call
from dragoman.dialects.recovery.source import NoCall, Source
from dragoman.dialects.recovery.tagged_calls import read_arguments
from dragoman.dialects.recovery.tags import Role, tag_at
from dragoman.json_schema.view import STRING

MAX_NAME = 256
"""No name is longer, with all that stands around it."""

PREFIXES = ("functions.", "function.", "tools.", "tool.", "call:", "function:")
"""What models write before a tool's name."""

NAME = re.compile(r"[A-Za-z_][\w.\-/@:]*")
_PREFIX = re.compile(r"(?:call|function|tool)[:.]")
_SUFFIX = re.compile(r"(?::[0-9]+|\.call)$")
_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_QUOTES = ('<|"|>', "<escape>")


def read_name(source: Source, pos: int, tools: Tools) -> tuple[str, int]:
    """The declared tool whose name stands at `pos`, and the name's end. Raises `NoCall` as soon as it cannot be one."""
    found = NAME.match(source.text, pos)
    if found is None:
        raise NoCall(pos + 1)
    written = found.group()
    if found.end() == len(source.text) and len(written) < MAX_NAME:
        plain = _PREFIX.sub("", written)
        if tools.may_become(plain) or tools.named(_plain(written)) or any(p.startswith(plain) for p in PREFIXES):
            source.expect_more()
    name = tools.named(_plain(written)) or tools.named(written)
    if not name:
        raise NoCall(found.end())
    return name, found.end()


def _plain(written: str) -> str:
    return _SUFFIX.sub("", _PREFIX.sub("", written) if not written.startswith("functions.") else written)


def read_named_call(source: Source, pos: int, tools: Tools, *, tagged: bool, listed: bool = False) -> tuple[Call, int]:
    """The call whose name stands at `pos`, and its end.

    `tagged`: something around it says that it is a call; `listed`: it stands in brackets.
    """
    if tagged:
        try:
            return read_pair_call(source, pos, tools)
        except NoCall:
            pass
    name, end = read_name(source, pos, tools)
    start = pass_marks(source, end, tools)
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
    """A dict at `pos`, or the keyword arguments of a call from behind its parenthesis on; `bare` ones need to have keys."""
    schema = tools.schema(name)
    begun = source.text.find("<", pos)
    quote = (source.literal(begun, *_QUOTES) if begun >= 0 else "") or _QUOTES[0]
    repairs: list[str] = []
    literal = LiteralValue(repairs, quote, None, lambda key: schema.member(key).kinds == STRING, positions=schema.keys)
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


def pass_marks(source: Source, pos: int, tools: Tools) -> int:
    """The first place that is neither space nor a mark between a name and its arguments."""
    while (pos := source.skip_space(pos)) < len(source.text):
        tag = tag_at(source, pos, tools)
        if tag is None or tag.role is not Role.BETWEEN:
            break
        pos = tag.end
        if tag.word in ("CALL_ID", "constrain"):
            found = source.match(_ID, pos)
            pos = found.end() if found else pos
    return pos
