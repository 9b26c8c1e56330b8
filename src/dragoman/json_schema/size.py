"""Measures a JSON Schema in every way that affects the cost of processing it.

Measured without recursion, in time proportional to the schema, before anything else is done with it. References are followed to
their targets, however they are spelled: each target is walked once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from dragoman.json_schema.graphs import components
from dragoman.json_schema.references import Resolver, Schema

_ALTERNATIVES: Final = frozenset({"anyOf", "oneOf", "prefixItems"})
_LEAST: Final = frozenset({"minItems", "minLength", "minProperties", "minContains"})
_MOST: Final = frozenset({"maxItems", "maxLength", "maxProperties", "maxContains"})
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
_DYNAMIC: Final = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems"})
_PATTERNS: Final = frozenset({"pattern", "patternProperties"})
_COUNTED: Final = frozenset({"properties", "enum", "allOf", "$ref"}) | _ALTERNATIVES | _LEAST | _MOST | _DYNAMIC | _PATTERNS
_MOST_WAYS: Final = 1e18

_Container = Any
"""An object or an array."""


@dataclass(slots=True)
class SchemaSize:
    """The sizes of a schema.

    `nodes` counts objects and arrays, `depth` is how deeply they are nested as written, `unfolded` with references followed.

    Places that can reach one another by references count in `unfolded` with the sum of their depths. `named` counts the
    references by a name instead of a pointer, which are slow to resolve, `reference_characters` the text of all references.
    `ways` is the number of places with references followed, `properties`, `enum` and `alternatives` the largest of each list;
    `least` and `most` are the largest lower and upper bounds of lengths; `patterns` counts the characters of regular
    expressions; `conjunctions` the schemas in `allOf`. `dynamic`: there are keywords whose cost is not bounded by these sizes.
    """

    nodes: int = 0
    depth: int = 0
    unfolded: int = 0
    ways: float = 0
    properties: int = 0
    enum: int = 0
    alternatives: int = 0
    references: int = 0
    named: int = 0
    reference_characters: int = 0
    least: float = 0
    most: float = 0
    patterns: int = 0
    conjunctions: int = 0
    dynamic: bool = False


@dataclass(slots=True)
class _Part:
    """The root or the target of references: its own size without other parts, and the parts it refers to, with their depths."""

    ways: float = 0
    depth: int = 0
    inner: list[tuple[int, int]] = field(default_factory=list)


def measured(schema: Schema) -> SchemaSize:
    """The size of a schema."""
    size = counted(schema)
    unfold(schema, size)
    return size


def counted(schema: Schema, most: float = inf) -> SchemaSize:
    """The counts of the schema as written, definitions included; counting stops after `most` nodes."""
    size = SchemaSize()
    level: list[_Container] = [schema]
    while level:
        size.depth += 1
        for value in level:
            size.nodes += 1
            if size.nodes > most:
                return size
            if isinstance(value, dict):
                _count(value, size)
        level = [inner for value in level for inner in _containers(value)]
    return size


def unfold(schema: Schema, size: SchemaSize) -> None:
    """Set the sizes with references followed, `ways` and `unfolded`; without references, they are those as written."""
    if not size.references:
        size.ways, size.unfolded = size.nodes, size.depth
        return
    resolve = Resolver(schema)
    targets = {id(schema): schema}
    pending: list[_Container] = [schema]
    while pending:
        value = pending.pop()
        pending.extend(_containers(value))
        if isinstance(value, dict) and isinstance(reference := value.get("$ref"), str):
            target = resolve(reference)
            targets[id(target)] = target
    parts = {name: _part(target, targets, resolve) for name, target in targets.items()}
    size.unfolded = _unfolded_depth(id(schema), parts)
    size.ways = _unfolded_ways(id(schema), parts)


def _part(schema: Schema, targets: Mapping[int, Schema], resolve: Resolver) -> _Part:
    """Walk one part, without definitions: those count where they are referred to."""
    part = _Part()
    pending: list[tuple[_Container, int]] = [(schema, 1)]
    while pending:
        value, depth = pending.pop()
        if id(value) in targets and value is not schema:
            part.inner.append((id(value), depth - 1))
            continue
        part.ways += 1
        part.depth = max(part.depth, depth)
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                part.inner.append((id(resolve(reference)), depth))
            if not _DEFINITIONS.isdisjoint(value):
                value = {word: inner for word, inner in value.items() if word not in _DEFINITIONS}
        pending.extend([(inner, depth + 1) for inner in _containers(value)])
    return part


def _containers(value: _Container) -> list[_Container]:
    """The objects and arrays directly inside an object or an array."""
    inner = value.values() if isinstance(value, dict) else value
    return [item for item in inner if isinstance(item, dict | list)]


def _count(schema: Schema, size: SchemaSize) -> None:
    for word in _COUNTED.intersection(schema):
        value = schema[word]
        if word == "properties" and isinstance(value, Mapping):
            size.properties = max(size.properties, len(value))
        elif word == "enum" and isinstance(value, list):
            size.enum = max(size.enum, len(value))
        elif word == "allOf" and isinstance(value, list):
            size.conjunctions += len(value)
        elif word in _ALTERNATIVES and isinstance(value, list):
            size.alternatives = max(size.alternatives, len(value))
        elif word == "$ref":
            size.references += 1
            if isinstance(value, str):
                size.named += value.partition("#")[2][:1] not in ("", "/")
                size.reference_characters += len(value)
        elif word in _DYNAMIC:
            size.dynamic = True
        elif word in _LEAST and isinstance(value, int | float):
            size.least = max(size.least, value)
        elif word in _MOST and isinstance(value, int | float):
            size.most = max(size.most, value)
        elif word in _PATTERNS:
            size.patterns += len(value) if isinstance(value, str) else sum(map(len, value)) if isinstance(value, Mapping) else 0


def _unfolded_depth(root: int, parts: Mapping[int, _Part]) -> int:
    """The depth with references followed. Parts in a cycle count together, so that their order does not matter."""
    known: dict[int, int] = {}
    for members in components({name: [inner for inner, _ in part.inner] for name, part in parts.items()}):
        circle = set(members)
        own = sum(parts[name].depth for name in members)
        leaving = [(inner, at) for name in members for inner, at in parts[name].inner if inner not in circle]
        if len(members) == 1:
            depth = max([own, *(at + known[inner] for inner, at in leaving)])
        else:
            depth = own + max((known[inner] for inner, _ in leaving), default=0)
        known.update(dict.fromkeys(members, depth))
    return known[root]


def _unfolded_ways(root: int, parts: Mapping[int, _Part]) -> float:
    """The number of places with references followed; a reference to a part that contains it counts once."""
    known: dict[int, float] = {root: 1}  # parts that are still being measured count as one
    stack: list[tuple[int, Iterator[tuple[int, int]]]] = [(root, iter(parts[root].inner))]
    while stack:
        name, rest = stack[-1]
        following = next((inner for inner, _ in rest if inner not in known), None)
        if following is not None:
            known[following] = 1
            stack.append((following, iter(parts[following].inner)))
            continue
        known[name] = min(parts[name].ways + sum(known[inner] for inner, _ in parts[name].inner), _MOST_WAYS)
        stack.pop()
    return known[root]
