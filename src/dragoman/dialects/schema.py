"""A tool's JSON Schema as something to write by: what it says of one place, and a tighter form of the whole.

A constraint may allow less than the schema does, never more: an object gets the properties that it names, in the order it
names them, and no others, so that a small model does not go on inventing keys.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "$schema"}
)
_LENGTHS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_CHEAP = 32
_APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties")
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


def tightened(schema: Any, *, close: bool = True) -> Any:
    """The schema without its annotations, its objects closed where nothing else has a say about their properties."""
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in _NAMED and isinstance(value, Mapping):
            made[word] = {name: tightened(inner) for name, inner in value.items()}
        elif word in _LISTED and isinstance(value, list):
            made[word] = [tightened(inner, close=close and word != "allOf") for inner in value]
        elif word in _SINGLE:
            made[word] = tightened(value, close=word in ("items", "additionalProperties"))
        elif word not in _ANNOTATIONS:
            made[word] = value
    if close and "properties" in made and "additionalProperties" not in made and not any(map(made.__contains__, _APPLICATORS)):
        made["additionalProperties"] = False
    return made


def loosened(schema: Any) -> Any:
    """The schema without its larger bounds on lengths: what they cost an engine with every request, few calls are worth."""
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in _NAMED and isinstance(value, Mapping):
            made[word] = {name: loosened(inner) for name, inner in value.items()}
        elif word in _LISTED and isinstance(value, list):
            made[word] = [loosened(inner) for inner in value]
        elif word in _SINGLE:
            made[word] = loosened(value)
        elif word not in _LENGTHS or not isinstance(value, int) or value <= _CHEAP:
            made[word] = value
    return made


class Place:
    """One place in a schema: the simple schemas that a value there may follow, references resolved, unions taken apart."""

    def __init__(self, schema: object, root: Schema) -> None:
        self.schema: Schema = schema if isinstance(schema, Mapping) else {}
        self.root = root

    def alternatives(self) -> "list[Place]":
        """The simple places; one that allows everything is an empty schema."""
        return [Place(simple, self.root) for simple in _simple(self.schema, self.root, 0)]

    def branches(self) -> "list[Place]":
        """The places of a union as they stand, references unresolved; none where this is no union."""
        for word in ("anyOf", "oneOf"):
            if isinstance(listed := self.schema.get(word), list):
                rest = {other: value for other, value in self.schema.items() if other != word}
                return [Place(_merged(rest, branch), self.root) for branch in listed if isinstance(branch, Mapping)]
        return []

    @property
    def kind(self) -> str:
        """The JSON type of a simple place; "" where it does not say."""
        named = self.schema.get("type")
        if isinstance(named, str):
            return named
        return "object" if "properties" in self.schema else "array" if "items" in self.schema else ""

    @property
    def values(self) -> list[Any] | None:
        """The only values that it allows, where it lists them."""
        if "const" in self.schema:
            return [self.schema["const"]]
        listed = self.schema.get("enum")
        return listed if isinstance(listed, list) else None

    @property
    def items(self) -> "Place":
        """An array's elements."""
        return Place(self.schema.get("items"), self.root)

    @property
    def properties(self) -> "list[tuple[str, Place, bool]]":
        """An object's properties: name, place, and must it be there?"""
        known = self.schema.get("properties")
        known = dict(known) if isinstance(known, Mapping) else {}
        required = self.schema.get("required")
        required = required if isinstance(required, list) else []
        known.update({name: {} for name in required if isinstance(name, str) and name not in known})
        return [(name, Place(schema, self.root), name in required) for name, schema in known.items()]

    @property
    def standalone(self) -> Schema:
        """The schema with the definitions that it may refer to."""
        return {**{word: self.root[word] for word in ("$defs", "definitions") if word in self.root}, **self.schema}


def _simple(schema: Schema, root: Schema, depth: int) -> Iterator[Schema]:
    """Take a schema apart until it has one type and refers to nothing."""
    if depth > 16:
        yield {}
        return
    if isinstance(reference := schema.get("$ref"), str):
        others = {word: value for word, value in schema.items() if word != "$ref"}
        yield from _simple(_merged(resolve(reference, root), others), root, depth + 1)
        return
    for word in ("allOf", "anyOf", "oneOf"):
        branches = schema.get(word)
        if not isinstance(branches, list):
            continue
        rest = {other: value for other, value in schema.items() if other != word}
        if word == "allOf":
            yield from _simple(reduce(_merged, (_resolved(branch, root) for branch in branches), rest), root, depth + 1)
        else:
            for branch in branches:
                yield from _simple(_merged(rest, branch if isinstance(branch, Mapping) else {}), root, depth + 1)
        return
    kinds = schema.get("type")
    if isinstance(kinds, list):
        for kind in kinds:
            yield from _simple({**schema, "type": kind}, root, depth + 1)
        return
    yield schema


def _resolved(schema: object, root: Schema) -> Schema:
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref")
    return resolve(reference, root) if isinstance(reference, str) else schema


def resolve(reference: str, root: Schema) -> Schema:
    """What a reference within the document points at; an empty schema where it points at nothing."""
    found: object = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _merged(left: Schema, right: Schema) -> Schema:
    """Both at once, as far as properties go; elsewhere the right one wins."""
    made = {**left, **right}
    if isinstance(left.get("properties"), Mapping) and isinstance(right.get("properties"), Mapping):
        made["properties"] = {**left["properties"], **right["properties"]}
    if isinstance(left.get("required"), list) and isinstance(right.get("required"), list):
        made["required"] = [*left["required"], *right["required"]]
    return made


def ordered(schema: Schema) -> Schema:
    """The schema with the properties that must be there in front of the others, each group in its own order (STR-6)."""
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in _NAMED and isinstance(value, Mapping):
            inner = {name: ordered(one) if isinstance(one, Mapping) else one for name, one in value.items()}
            required = schema.get("required") if word == "properties" else None
            must = [name for name in inner if isinstance(required, list) and name in required]
            made[word] = {name: inner[name] for name in [*must, *(name for name in inner if name not in must)]}
        elif word in _LISTED and isinstance(value, list):
            made[word] = [ordered(one) if isinstance(one, Mapping) else one for one in value]
        else:
            made[word] = ordered(value) if word in _SINGLE and isinstance(value, Mapping) else value
    return made


def unrolled(schema: Schema, levels: int) -> Schema:
    """The schema with its recursion written out, and forbidden below that many levels.

    A small model that must fill a tree never stops to grow it. Every definition that can reach itself gets a copy per level;
    where the last would refer to another, nothing is allowed: an array there is empty, an optional property is missing.
    """
    made = dict(schema)
    for word in ("$defs", "definitions"):
        known = schema.get(word)
        if not isinstance(known, Mapping):
            continue
        prefix = f"#/{word}/"
        reached = {name: {*_references(inner, prefix)} for name, inner in known.items()}
        cyclic = {name for name in known if name in _closure(name, reached)}
        copies: dict[str, Any] = {}
        for name, inner in known.items():
            for level in range(levels if name in cyclic else 1):
                copies[_copy(name, level)] = _pointed(inner, prefix, cyclic, level + 1 if name in cyclic else 0, levels)
        made[word] = copies
    return made


def _copy(name: str, level: int) -> str:
    return f"{name}__{level}" if level else name


def _references(schema: Any, prefix: str) -> Iterator[str]:
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith(prefix):
            yield reference.removeprefix(prefix)
        for value in schema.values():
            yield from _references(value, prefix)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value, prefix)


def _closure(name: str, reached: Mapping[str, set[str]]) -> set[str]:
    """All that can be reached from a definition, in one step or more."""
    found: set[str] = set()
    pending = [name]
    while pending:
        fresh = reached.get(pending.pop(), set()) - found
        found |= fresh
        pending.extend(fresh)
    return found


def _pointed(schema: Any, prefix: str, cyclic: set[str], level: int, levels: int) -> Any:
    """The schema with its references to recursive definitions pointing at the copies of that level, or at nothing."""
    if isinstance(schema, list):
        return [_pointed(inner, prefix, cyclic, level, levels) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    reference = schema.get("$ref")
    name = reference.removeprefix(prefix) if isinstance(reference, str) and reference.startswith(prefix) else None
    if name in cyclic and level >= levels:
        return False
    made = {word: _pointed(value, prefix, cyclic, level, levels) for word, value in schema.items()}
    return made | {"$ref": prefix + _copy(name, level)} if name in cyclic and name is not None else made
