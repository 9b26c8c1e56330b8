"""The writer of calls whose arguments are not one JSON object: the inverse of `codecs.tag_block`.

Strings are written as they are if the format has no escapes. A string that is then ambiguous (a closer with more markup after
it, a name with a bracket) could not have been written by the model either.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dragoman.dialects.spec import (
    Calls,
    Codec,
    ElementArguments,
    KeywordArguments,
    LiteralArguments,
    NameTag,
    TaggedArguments,
)

_PLAIN_KEY = re.compile(r"[^\s,:=()\[\]{}\"'<]+")
_MARKUP = re.compile(r"[<&\n]")


def write_calls(calls: Calls, carrier: NameTag, written: Sequence[tuple[str, str, int]]) -> str:
    """The inside of a block of calls, each given as its name, its written arguments and its index in the turn."""
    listed = isinstance(calls.codec, KeywordArguments) and calls.codec.listed
    body = (", " if listed else carrier.between).join(
        carrier.before + _head(carrier, name, place) + arguments + carrier.close + carrier.after
        for name, arguments, place in written
    )
    return f"[{body}]" if listed else body


def _head(carrier: NameTag, name: str, place: int) -> str:
    """The tag that holds the name."""
    default = f'{carrier.attribute}="{{name}}"' if carrier.attribute else "{name}"
    inside = (carrier.inside or default).format(name=name, place=place, number=place + 1)
    return carrier.open + carrier.prefix + inside + carrier.end


def write_arguments(codec: Codec, arguments: Mapping[str, Any]) -> str:
    """The arguments of one call, from after its name up to its closer."""
    match codec:
        case TaggedArguments():
            return codec.between + "".join(_parameter(codec, key, value) + codec.between for key, value in arguments.items())
        case LiteralArguments():
            return _literal(codec, arguments)
        case KeywordArguments():
            return ", ".join(f"{key}={_python(value)}" for key, value in arguments.items()) + ")"
        case ElementArguments():
            return _children(codec, arguments)
        case _:
            raise TypeError(codec)


def _parameter(codec: TaggedArguments, key: str, value: Any) -> str:
    text = value if isinstance(value, str) else _dumps(value)
    if codec.cdata and _MARKUP.search(text):
        text = f"<![CDATA[{text}]]>"
    return parameter(codec, key, text, json_type(value))


def parameter(codec: TaggedArguments, key: str, text: str, kind: str) -> str:
    """One argument: its tags, and between them an already written value of that JSON type."""
    name = f'{codec.attribute}="{key}"' if codec.attribute else key
    if codec.type_attribute == "string":
        name += f' string="{"true" if kind == "string" else "false"}"'
    elif codec.type_attribute:
        name += f' {codec.type_attribute}="{kind}"'
    tag = codec.open + name + codec.end
    if codec.value_open:
        tag += codec.between + codec.value_open
    newline = "\n" if codec.newline else ""
    return tag + newline + text + newline + codec.close


def _literal(codec: LiteralArguments, value: Any) -> str:
    match value:
        case str():
            return codec.quote + value + codec.quote
        case Mapping():
            return "{" + ",".join(f"{literal_key(codec, key)}:{_literal(codec, inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(_literal(codec, inner) for inner in value) + "]"
        case _:
            return _dumps(value)


def literal_key(codec: LiteralArguments, key: str) -> str:
    """A key as it is written before its colon, in quotes if it needs them."""
    return key if _PLAIN_KEY.fullmatch(key) else codec.quote + key + codec.quote


def _python(value: Any) -> str:
    """A value as a Python literal; containers as JSON, which all of these families understand and most write."""
    return _dumps(value) if isinstance(value, Mapping | list | tuple) else repr(value)


def _children(codec: ElementArguments, value: Mapping[str, Any] | Sequence[Any]) -> str:
    """The child elements of an object or array."""
    if isinstance(value, Mapping):
        return "".join(_element(codec, key, inner) for key, inner in value.items())
    return "".join(_element(codec, codec.item, inner) for inner in value)


def _element(codec: ElementArguments, name: str, value: Any) -> str:
    kind = json_type(value)
    text = value if isinstance(value, str) else _children(codec, value) if kind in ("object", "array") else _dumps(value)
    return element(codec, name, text, kind)


def element(codec: ElementArguments, name: str, text: str, kind: str) -> str:
    """An element of that name that holds an already written value of that JSON type."""
    tag = codec.open + (f' {codec.attribute}="{name}"' if codec.attribute and name else name)
    if codec.type_attribute:
        holds = {"string": "raw", "object": "dict", "array": "list"}.get(kind, "json")
        tag += f' {codec.type_attribute}="{holds}"'
    return tag + codec.end + text + codec.close.format(name)


def json_type(value: Any) -> str:
    """The JSON type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
