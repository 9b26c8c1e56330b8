"""Calls in JSON: an object with a name and arguments under any of the usual keys, an array of them, or a wrapper around them.

    {"name": "add", "arguments": {"a": 1}}                        `parameters`, `input`, `args`; `tool`, `tool_name`, `function`
    {"type": "function", "function": {"name": …}}                 and `{"function_call": …}`, `{"tool_calls": [ … ]}`
    {"add": {"a": 1}}                                             inside tags only
    {{"name": "add", "arguments": {{"a": 1}}}}                    braces as escaped in templates

An object with any other key is data, not a call.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from dragoman.dialects.recovery.acceptance import Call, Tools
from dragoman.dialects.recovery.source import NoCall, Source
from dragoman.dialects.values.json_value import JsonValue

_NAME_KEYS = ("name", "tool_name", "tool", "function_name", "function", "action", "recipient_name")
_ARGUMENTS_KEYS = ("arguments", "parameters", "input", "args", "params", "kwargs", "tool_input", "action_input")
_WRAPPER_KEYS = ("function", "function_call", "tool_call", "tool_calls", "function_calls", "calls", "tool_uses")
_OTHER_KEYS = frozenset({"id", "type", "index", "call_id", "tool_call_id", "role", "content"})
_ALL_KEYS = frozenset({*_NAME_KEYS, *_ARGUMENTS_KEYS, *_WRAPPER_KEYS, *_OTHER_KEYS})

_MAX_KEY = 64
_MAX_NAME = 256
_BRACKETS = re.compile(r"[\[\s]*")
_OPENING = re.compile(r"\{[\s{]*")
_DOUBLED = re.compile(r"\{\s*\{")
_BRACES = re.compile(r"""["{}\[\]]""")
_STRING = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)


def read_json_calls(source: Source, pos: int, tools: Tools, *, tagged: bool) -> tuple[list[Call], int]:
    """The calls in the object or array at `pos`, and its end. `tagged`: markup around it says that it is a call."""
    _check_beginning(source, pos, tools, tagged=tagged)
    value, end = read_value(source, pos)
    calls = list(_calls(value, tools, pos, tagged=tagged))
    if not calls:
        raise NoCall(pos)
    return calls, end


def read_value(source: Source, pos: int) -> tuple[Any, int]:
    """The JSON object or array at `pos`, repaired as in calls, and its end."""
    text, start, end = source.text, pos, 0
    if _DOUBLED.match(text, pos):
        text, end = _single_braces(source, pos)
        start = 0
    reader = JsonValue([])
    stop = reader.read(text, start)
    if not reader.done:
        if reader.stuck or end:
            raise NoCall(end or stop)
        source.expect_more()
        raise NoCall(stop)
    try:
        return json.loads("".join(reader.out)), end or stop
    except (ValueError, RecursionError):
        raise NoCall(end or stop) from None


def _check_beginning(source: Source, pos: int, tools: Tools, *, tagged: bool) -> None:
    """Raise `NoCall` as soon as the first key, or the name under it, cannot be a call's."""
    brackets = source.match(_BRACKETS, pos)
    start = brackets.end() if brackets else pos
    opening = _OPENING.match(source.text, start)
    if opening is None:
        raise NoCall(max(start, pos + 1))
    key, end = _short_string(source, opening.end(), _MAX_KEY)
    if key not in _ALL_KEYS and not (tagged and tools.named(key)):
        raise NoCall(end)
    if key in _NAME_KEYS:
        colon = source.skip_space(end)
        start = source.skip_space(colon + 1) if source.text.startswith(":", colon) else colon
        if source.text[start : start + 1] in ("{", "["):
            return
        name, end = _short_string(source, start, _MAX_NAME)
        if not tools.named(name):
            raise NoCall(end)


def _short_string(source: Source, pos: int, limit: int) -> tuple[str, int]:
    """The string at `pos`, without its quotes, and its end."""
    if source.at_end(pos) or source.text[pos] not in "\"'":
        raise NoCall(pos)
    end = source.text.find(source.text[pos], pos + 1, pos + 1 + limit)
    if end < 0:
        if len(source.text) - pos <= limit:
            source.expect_more()
        raise NoCall(pos)
    return source.text[pos + 1 : end], end + 1


def _single_braces(source: Source, pos: int) -> tuple[str, int]:
    """An object with doubled braces, rewritten with single ones, and its end. Two closing braces close a doubled one."""
    text, written, closers, start = source.text, [], [], pos
    while found := _BRACES.search(text, pos):
        pos = found.end()
        char = found.group()
        if char == '"':
            string = _STRING.match(text, pos)
            if string is None:
                break
            pos = string.end()
        elif char in "{[":
            doubled = text.startswith("{{", found.start())
            closers.append("}}" if doubled else "}" if char == "{" else "]")
            if doubled:
                written.append(text[start : found.start()] + "{")
                start = pos = pos + 1
        else:
            closer = closers.pop() if closers else ""
            if closer == "}}" and text.startswith("}}", found.start()):
                written.append(text[start : found.start()] + "}")
                start = pos = pos + 1
            elif closer == "}}" and pos == len(text):
                source.expect_more()
            if not closers:
                return "".join(written) + text[start:pos], pos
    source.expect_more()
    raise NoCall(len(text))


def _calls(value: Any, tools: Tools, pos: int, *, tagged: bool) -> Iterator[Call]:
    if isinstance(value, list):
        for element in value:
            yield from _calls(element, tools, pos, tagged=tagged)
        return
    if not isinstance(value, dict):
        raise NoCall(pos)
    if tagged and len(value) == 1 and (name := tools.named(next(iter(value)))):
        yield _accepted(name, next(iter(value.values())), tools, pos)
        return
    if not value.keys() <= _ALL_KEYS or any(value.get(key) for key in ("content",)):
        raise NoCall(pos)
    wrapped = [value[key] for key in _WRAPPER_KEYS if isinstance(value.get(key), dict | list)]
    names = [value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)]
    arguments = [value[key] for key in _ARGUMENTS_KEYS if key in value]
    if len(wrapped) == 1 and not names and not arguments:
        yield from _calls(wrapped[0], tools, pos, tagged=True)
    elif len(names) == 1 and not wrapped and len(arguments) <= 1 and (arguments or tagged) and tools.named(names[0]):
        yield _accepted(tools.named(names[0]), arguments[0] if arguments else {}, tools, pos)
    else:
        raise NoCall(pos)


def _accepted(name: str, arguments: Any, tools: Tools, pos: int) -> Call:
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            raise NoCall(pos) from None
    if arguments in (None, "", []):
        arguments = {}
    call = tools.accept(name, arguments) if isinstance(arguments, dict) else None
    if call is None:
        raise NoCall(pos)
    return call
