"""Writes a JSON schema as rules in GBNF, with a space after each comma and colon and nowhere else.

Enforced are types, constants, alternatives, references, the properties of objects in their order, and lengths of arrays and
strings up to `_LONGEST`. What else a schema says is not: an answer is validated when it is complete. Where an object may have
further members, they may repeat the name of one that the schema has.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from dragoman.constraints.gbnf_rules import Rules, alternatives, quoted
from dragoman.json_schema.references import Schema, dereferenced, merged

_LONGEST: Final = 64
"""The largest bound on a length that is enforced: llama.cpp writes so many copies of what is repeated."""
_CHARACTER: Final = r"""([^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))"""
_INTEGER: Final = '"-"? ("0" | [1-9] [0-9]{0,15})'
_SIMPLE: Final = {
    "string": rf'"\"" {_CHARACTER}* "\""',
    "integer": _INTEGER,
    "number": _INTEGER + ' ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}
_INFERRED: Final = {"properties": "object", "additionalProperties": "object", "items": "array", "prefixItems": "array"}
"""Keywords that say what a value is meant to be where its type is not given."""


class JsonRules:
    """Adds the rules of one schema to a grammar. `name` distinguishes it from others in that grammar."""

    def __init__(self, rules: Rules, root: Schema, name: int) -> None:
        self._rules = rules
        self._root = root
        self._name = name

    def start(self) -> str:
        """The rule for a value that the schema allows."""
        return self._value(self._root)

    def _value(self, schema: Any) -> str:
        if not isinstance(schema, Mapping) or not schema:
            return self._any()
        return self._rules.once((self._name, json.dumps(schema)), lambda: self._body(dereferenced(schema, self._root)))

    def _body(self, schema: Schema) -> str:
        if "const" in schema:
            return _constant(schema["const"])
        if "enum" in schema:
            return alternatives(map(_constant, schema["enum"]))
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list):
                return alternatives(self._value(self._both(_without(schema, word), inner)) for inner in schema[word])
        if isinstance(schema.get("allOf"), list):
            made = _without(schema, "allOf")
            for inner in schema["allOf"]:
                made = self._both(made, inner)
            return self._value(made)
        types = schema.get("type") or next((kind for word, kind in _INFERRED.items() if word in schema), None)
        if types is None:
            return self._any()
        return (
            alternatives(self._of_type(kind, schema) for kind in ([types] if isinstance(types, str) else types)) or self._any()
        )

    def _both(self, schema: Schema, other: Any) -> Schema:
        return merged(schema, dereferenced(other, self._root)) if isinstance(other, Mapping) else schema

    def _of_type(self, kind: str, schema: Schema) -> str:
        match kind:
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema)
            case "string" if schema.keys() & {"minLength", "maxLength"}:
                return rf'"\"" {_CHARACTER}{_times(*_bounds(schema, "Length"))} "\""'
        return self._rules.once(kind, lambda: _SIMPLE[kind])

    def _object(self, schema: Schema) -> str:
        required = schema.get("required", ())
        properties = dict(schema.get("properties", {}))
        more = schema.get("additionalProperties", True)
        if more is not False:
            properties |= {name: more for name in required if name not in properties}
        members = [
            (f"{quoted(json.dumps(name, ensure_ascii=False) + ': ')} {self._value(value)}", name in required)
            for name, value in properties.items()
        ]
        key = (self._name, json.dumps(schema), "members")

        def rest(at: int, *, first: bool) -> str:
            return self._rules.once((key, at, first), lambda: body(at, first=first))

        def body(at: int, *, first: bool) -> str:
            if at == len(members):
                return self._further(more, first=first)
            member, needed = members[at]
            ways = [f"{'' if first else _COMMA} {member} {rest(at + 1, first=False)}"]
            return alternatives(ways if needed else [*ways, rest(at + 1, first=first)])

        return f'"{{" {rest(0, first=True)} "}}"'

    def _further(self, schema: Any, *, first: bool) -> str:
        """The members of an object that have no names of their own in the schema."""
        if schema is False:
            return quoted("")
        member = f'{self._of_type("string", {})} ": " {self._value(schema)}'
        return f"({member} ({_COMMA} {member})*)?" if first else f"({_COMMA} {member})*"

    def _array(self, schema: Schema) -> str:
        least, most = _bounds(schema, "Items")
        fixed = [self._value(item) for item in schema.get("prefixItems", ())]
        more = schema.get("items", True)
        if more is False or (most is not None and most <= len(fixed)):
            return f'"[" {f" {_COMMA} ".join(fixed[:most])} "]"'
        item, left = self._value(more), max(least - len(fixed), 0)
        room = None if most is None else most - len(fixed)
        if fixed:
            return f'"[" {f" {_COMMA} ".join(fixed)} ({_COMMA} {item}){_times(left, room)} "]"'
        items = f"{item} ({_COMMA} {item}){_times(max(left - 1, 0), None if room is None else room - 1)}"
        return f'"[" {items} "]"' if left else f'"[" ({items})? "]"'

    def _any(self) -> str:
        """Any JSON value."""
        kinds = ("object", "array", *_SIMPLE)
        return self._rules.once("any", lambda: alternatives(self._of_type(kind, {}) for kind in kinds))


_COMMA: Final = '", "'


def _bounds(schema: Schema, of: str) -> tuple[int, int | None]:
    """The least and the greatest length; those that are too large to be enforced are left out."""
    least, most = schema.get(f"min{of}", 0), schema.get(f"max{of}")
    return int(least) if least <= _LONGEST else 0, int(most) if most is not None and most <= _LONGEST else None


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _constant(value: Any) -> str:
    return quoted(json.dumps(value, ensure_ascii=False))


def _without(schema: Schema, word: str) -> Schema:
    return {name: value for name, value in schema.items() if name != word}
