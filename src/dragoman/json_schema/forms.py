"""Transforms a tool's JSON Schema into the one that the model's output is constrained by.

A constraint may allow less than the schema does, never more: an object gets the properties that the schema names, in that
order, and no others, so that a small model does not keep inventing keys.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dragoman.json_schema.graphs import components
from dragoman.json_schema.references import Schema, rewritten

_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "$schema"}
)
_LENGTHS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_CHEAP = 32
_APPLICATORS = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"})
"""Other keywords that may affect an object's properties."""
_UNIONS = frozenset({"anyOf", "oneOf"})
_TESTS = frozenset({"allOf", "not", "if", "then", "else", "contains", "propertyNames"})
"""Keywords whose schemas test a value in addition to its own: if they were closed, they would refuse allowed values."""


def tightened(schema: Any, *, close: bool = True) -> Any:
    """The schema without annotations, its objects closed where no other keyword affects their properties."""
    if not isinstance(schema, Mapping):
        return schema
    kept = {word: value for word, value in schema.items() if word not in _ANNOTATIONS}
    made = rewritten(kept, lambda word, inner: tightened(inner, close=word not in _TESTS and (close or word not in _UNIONS)))
    if close and "properties" in made and "additionalProperties" not in made and not _APPLICATORS & made.keys():
        made["additionalProperties"] = False
    return made


def loosened(schema: Any) -> Any:
    """The schema without large bounds on lengths, which cost an engine more with every request than they help."""
    if not isinstance(schema, Mapping):
        return schema
    made = rewritten(schema, lambda _, inner: loosened(inner))
    return {
        word: value for word, value in made.items() if word not in _LENGTHS or not isinstance(value, int) or value <= _CHEAP
    }


def ordered(schema: Any) -> Any:
    """The schema with the required properties before the others, each group in its own order (STR-6)."""
    if not isinstance(schema, Mapping):
        return schema
    made = rewritten(schema, lambda _, inner: ordered(inner))
    required, properties = made.get("required"), made.get("properties")
    if isinstance(required, list) and isinstance(properties, Mapping):
        first = {name for name in required if isinstance(name, str)}
        made["properties"] = dict(sorted(properties.items(), key=lambda entry: entry[0] not in first))
    return made


def unrolled(schema: Schema, levels: int) -> Schema:
    """The schema with its recursion unrolled to that many levels, and forbidden below.

    A small model that generates a tree never stops extending it. Every definition that can reach itself gets a copy per level;
    where the last would refer to another, no value is allowed: an array there is empty, an optional property is missing.
    """
    made = dict(schema)
    for word in ("$defs", "definitions"):
        known = schema.get(word)
        if not isinstance(known, Mapping):
            continue
        prefix = f"#/{word}/"
        reached = {name: {*_references(inner, prefix)} for name, inner in known.items()}
        cyclic = {name for names in components(reached) for name in names if len(names) > 1 or name in reached[name]}
        copies: dict[str, Any] = {}
        for name, inner in known.items():
            for level in range(levels if name in cyclic else 1):
                copies[_copy(name, level)] = _pointed(inner, prefix, cyclic, level + 1 if name in cyclic else 0, levels)
        made[word] = copies
    return made


def _copy(name: str, level: int) -> str:
    return f"{name}__{level}" if level else name


def _references(schema: Any, prefix: str) -> Iterator[str]:
    """The names of all definitions that a schema refers to."""
    if isinstance(schema, Mapping):
        yield from _reference(schema, prefix)
        for value in schema.values():
            yield from _references(value, prefix)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value, prefix)


def _reference(schema: Schema, prefix: str) -> Iterator[str]:
    """The name of the definition that the schema's own `$ref` refers to, if any."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(prefix):
        yield reference.removeprefix(prefix)


def _pointed(schema: Any, prefix: str, cyclic: set[str], level: int, levels: int) -> Any:
    """The schema with its references to recursive definitions replaced by those to the copies of that level, or by `False`."""
    if not isinstance(schema, Mapping):
        return schema
    name = next((name for name in _reference(schema, prefix) if name in cyclic), None)
    if name is not None and level >= levels:
        return False
    made = rewritten(schema, lambda _, inner: _pointed(inner, prefix, cyclic, level, levels))
    return made if name is None else made | {"$ref": prefix + _copy(name, level)}
