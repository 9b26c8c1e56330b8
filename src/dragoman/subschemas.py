"""Where schemas stand inside a JSON Schema: the one place that knows, so that who rewrites one says only what changes."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
"""A JSON Schema that is an object. `True` and `False` are schemas too."""

_BY_NAME: Final = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_BELOW: Final = frozenset(
    {"anyOf", "oneOf", "allOf", "prefixItems", "items", "additionalProperties", "not", "if", "then", "else"}
    | {"contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)


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
