"""JSON Schemas: where schemas stand inside them, and whether a value is one's, where it is safe to ask.

Schemas come from strangers. One may point at an address, and asking would send this server there; and references that branch
multiply, so that a schema of one kilobyte could keep it busy for days. Such a schema is not asked.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf
from typing import Any, Final

import jsonschema_rs
import msgspec

Schema = Mapping[str, Any]
"""A JSON Schema that is an object. `True` and `False` are schemas too."""

_BY_NAME: Final = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_BELOW: Final = frozenset(
    {"anyOf", "oneOf", "allOf", "prefixItems", "items", "additionalProperties", "not", "if", "then", "else"}
    | {"contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
"""What every schema is read as, whatever its `$schema` says; that could be an address, too."""
_MOST_WAYS: Final = 10_000
"""Places of a schema that one value may be held against, every reference followed."""
_UNBOUNDED: Final = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems"})
_WORTH_REMEMBERING: Final = 32 * 1024


def rewritten(schema: Schema, change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """A copy, with every schema directly inside replaced by `change(keyword, inner)`. Everything else stays, in its order."""
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _BY_NAME and isinstance(value, Mapping):
            made[keyword] = {name: change(keyword, inner) for name, inner in value.items()}
        elif keyword in _BELOW and isinstance(value, list):
            made[keyword] = [change(keyword, inner) for inner in value]
        else:
            made[keyword] = change(keyword, value) if keyword in _BELOW else value
    return made


def resolve(reference: str, root: Schema) -> Schema:
    """What a reference within the document points at; an empty schema where it points at nothing."""
    found: object = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def validator(schema: Schema) -> jsonschema_rs.Validator | None:
    """What checks values by this schema; None where it is none, or where asking it is not safe."""
    encoded = msgspec.json.encode({**schema, "$schema": _DRAFT})
    return _remembered(encoded) if len(encoded) <= _WORTH_REMEMBERING else _validator(encoded)


def _validator(schema: bytes) -> jsonschema_rs.Validator | None:
    read = msgspec.json.decode(schema)
    if _ways(read, read, {}) > _MOST_WAYS:
        return None
    try:
        return jsonschema_rs.validator_for(read, mask="the value", retriever=_stay)  # masked, as values may be long
    except ValueError:
        return None


_remembered = lru_cache(maxsize=256)(_validator)
"""An agent sends the same tools on every turn; larger schemas than an agent's are not kept."""


def _stay(uri: str) -> Any:
    """No schema sends this server anywhere."""
    raise ValueError(uri)


def _ways(node: Any, root: Schema, known: dict[str, float]) -> float:
    """In how many places a value may be held against this part of a schema. Recursion counts once: values end somewhere."""
    if isinstance(node, list):
        return sum(_ways(inner, root, known) for inner in node)
    if not isinstance(node, Mapping):
        return 0
    if _UNBOUNDED & node.keys():
        return inf
    found = 1 + sum(_ways(inner, root, known) for word, inner in node.items() if word not in ("$defs", "definitions"))
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference not in known:
            known[reference] = 1
            known[reference] = _ways(resolve(reference, root), root, known)
        found += known[reference]
    return found
