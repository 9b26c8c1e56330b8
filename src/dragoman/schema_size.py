"""How large a JSON Schema is, in every way in which work on it may grow.

Measured in one walk without recursion, in time proportional to the schema, before anything else is done with it. References are
followed as far as they are different from one another: each is measured once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dragoman.json_schema import Schema, resolve

_ALTERNATIVES: Final = frozenset({"anyOf", "oneOf", "prefixItems"})
_LEAST: Final = frozenset({"minItems", "minLength", "minProperties", "minContains"})
_MOST: Final = frozenset({"maxItems", "maxLength", "maxProperties", "maxContains"})
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
_DYNAMIC: Final = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems"})
_PATTERNS: Final = frozenset({"pattern", "patternProperties"})
_MOST_WAYS: Final = 1e18


@dataclass(slots=True)
class SchemaSize:
    """`nodes` counts objects and arrays, `depth` is how deeply they are nested as written, `unfolded` with references followed.

    `ways` is the number of places with references followed, `properties`, `enum` and `alternatives` the largest of each list;
    `least` and `most` are the largest lower and upper bounds of lengths; `patterns` counts the characters of regular
    expressions; `conjunctions` the schemas in `allOf`. `dynamic`: there are keywords whose cost nothing here bounds.
    """

    nodes: int = 0
    depth: int = 0
    unfolded: int = 0
    ways: float = 0
    properties: int = 0
    enum: int = 0
    alternatives: int = 0
    references: int = 0
    least: float = 0
    most: float = 0
    patterns: int = 0
    conjunctions: int = 0
    dynamic: bool = False


@dataclass(slots=True)
class _Part:
    """The root, or what one reference points at: its own size, and the references in it with their depths."""

    ways: float
    depth: int
    references: list[tuple[str, int]]


def measured(schema: Schema) -> SchemaSize:
    """The size of a schema."""
    size = _counted(schema)
    root = _part(schema)
    parts: dict[str, _Part] = {}
    pending = [reference for reference, _ in root.references]
    while pending:
        reference = pending.pop()
        if reference not in parts:
            parts[reference] = _part(resolve(reference, schema))
            pending.extend(inner for inner, _ in parts[reference].references)
    size.ways, size.unfolded = _unfolded(root, parts)
    return size


def _counted(schema: Schema) -> SchemaSize:
    """The counts of what is written, definitions included."""
    size = SchemaSize()
    pending: list[tuple[object, int]] = [(schema, 1)]
    while pending:
        value, depth = pending.pop()
        size.nodes += 1
        size.depth = max(size.depth, depth)
        if isinstance(value, Mapping):
            _count(value, size)
        pending.extend((inner, depth + 1) for inner in _containers(value))
    return size


def _part(schema: object) -> _Part:
    """Walk what stands in one place, without definitions: those count where they are referred to."""
    part = _Part(0, 0, [])
    pending: list[tuple[object, int]] = [(schema, 1)]
    while pending:
        value, depth = pending.pop()
        part.ways += 1
        part.depth = max(part.depth, depth)
        if isinstance(value, Mapping):
            if isinstance(reference := value.get("$ref"), str):
                part.references.append((reference, depth))
            value = {word: inner for word, inner in value.items() if word not in _DEFINITIONS}
        pending.extend((inner, depth + 1) for inner in _containers(value))
    return part


def _containers(value: object) -> Iterator[object]:
    inner: Any = value.values() if isinstance(value, Mapping) else value
    return (item for item in inner if isinstance(item, Mapping | list)) if isinstance(value, Mapping | list) else iter(())


def _count(schema: Schema, size: SchemaSize) -> None:
    for word, value in schema.items():
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
        elif word in _DYNAMIC:
            size.dynamic = True
        elif word in _LEAST and isinstance(value, int | float):
            size.least = max(size.least, value)
        elif word in _MOST and isinstance(value, int | float):
            size.most = max(size.most, value)
        elif word in _PATTERNS:
            size.patterns += len(value) if isinstance(value, str) else sum(map(len, value)) if isinstance(value, Mapping) else 0


def _unfolded(root: _Part, parts: Mapping[str, _Part]) -> tuple[float, int]:
    """Places and depth with references followed; a reference to what it stands in counts once."""
    known: dict[str, tuple[float, int]] = {}  # what is still being measured stands here as (1, 0)
    stack: list[tuple[str, _Part, Iterator[tuple[str, int]]]] = [("", root, iter(root.references))]
    while True:
        name, part, rest = stack[-1]
        following = next((inner for inner, _ in rest if inner not in known), None)
        if following is not None:
            known[following] = (1, 0)
            stack.append((following, parts[following], iter(parts[following].references)))
            continue
        ways = part.ways + sum(known[inner][0] for inner, _ in part.references)
        depth = max([part.depth, *(at + known[inner][1] for inner, at in part.references)])
        stack.pop()
        if not stack:
            return min(ways, _MOST_WAYS), depth
        known[name] = (min(ways, _MOST_WAYS), depth)
