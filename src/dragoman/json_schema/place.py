"""One place in a schema, taken apart into simple schemas."""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, Final

from dragoman.json_schema.references import Schema, dereferenced, merged

_DEEPEST_UNION: Final = 16
_MOST_STEPS: Final = 1_000
"""The most steps of taking one schema apart, and so the most pieces."""


class Place:
    """One place in a schema: the simple schemas that a value there may follow, references resolved, unions taken apart."""

    def __init__(self, schema: object, root: Schema) -> None:
        self.schema: Schema = schema if isinstance(schema, Mapping) else {}
        self.root = root

    def alternatives(self) -> "list[Place]":
        """The simple places; an empty schema allows everything."""
        return [Place(simple, self.root) for simple in _simple(self.schema, self.root)]

    def branches(self) -> "list[Place]":
        """The branches of a union as they are, references unresolved; empty where this is not a union."""
        for word in ("anyOf", "oneOf"):
            if isinstance(listed := self.schema.get(word), list):
                rest = {other: value for other, value in self.schema.items() if other != word}
                return [Place(merged(rest, branch), self.root) for branch in listed if isinstance(branch, Mapping)]
        return []

    @property
    def kind(self) -> str:
        """The JSON type of a simple place; "" where the schema does not name it."""
        named = self.schema.get("type")
        if isinstance(named, str):
            return named
        return "object" if "properties" in self.schema else "array" if "items" in self.schema else ""

    @property
    def values(self) -> list[Any] | None:
        """The values that are allowed, where the schema lists them."""
        if "const" in self.schema:
            return [self.schema["const"]]
        listed = self.schema.get("enum")
        return listed if isinstance(listed, list) else None

    @property
    def items(self) -> "Place":
        """The place of an array's elements."""
        return Place(self.schema.get("items"), self.root)

    @property
    def properties(self) -> "list[tuple[str, Place, bool]]":
        """An object's properties: the name, the place, and whether it is required."""
        known = self.schema.get("properties")
        known = dict(known) if isinstance(known, Mapping) else {}
        required = self.schema.get("required")
        listed = required if isinstance(required, list) else []
        required = dict.fromkeys(name for name in listed if isinstance(name, str))
        known.update({name: {} for name in required if name not in known})
        return [(name, Place(schema, self.root), name in required) for name, schema in known.items()]

    @property
    def standalone(self) -> Schema:
        """The schema together with the definitions that it may refer to."""
        return {**{word: self.root[word] for word in ("$defs", "definitions") if word in self.root}, **self.schema}


def _simple(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Take a schema apart until each piece has one type and no reference.

    Unions multiply: where there are too many pieces or steps, the rest of the schema becomes one piece that allows everything.
    """
    pending: list[tuple[Schema, int]] = [(schema, 0)]
    for _ in range(_MOST_STEPS):
        if not pending:
            return
        piece, depth = pending.pop()
        piece = dereferenced(piece, root)
        inner = list(_taken_apart(piece, root)) if depth < _DEEPEST_UNION else [{}]
        if depth < _DEEPEST_UNION and inner == [piece]:
            yield piece
        elif depth >= _DEEPEST_UNION:
            yield {}
        else:
            pending.extend((made, depth + 1) for made in reversed(inner))
    if pending:
        yield {}


def _taken_apart(schema: Schema, root: Schema) -> Iterator[Schema]:
    """One step: the branches of its first union, the merged parts of a conjunction, its types one by one; or itself."""
    for word in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(word)
        if not isinstance(branches, list):
            continue
        rest = {other: value for other, value in schema.items() if other != word}
        if word == "allOf":
            yield reduce(merged, (_resolved(branch, root) for branch in branches), rest)
        else:
            yield from (merged(rest, branch if isinstance(branch, Mapping) else {}) for branch in branches)
        return
    kinds = schema.get("type")
    yield from ({**schema, "type": kind} for kind in kinds) if isinstance(kinds, list) else (schema,)


def _resolved(schema: object, root: Schema) -> Schema:
    return dereferenced(schema, root) if isinstance(schema, Mapping) else {}
