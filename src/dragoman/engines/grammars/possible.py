"""Schemas without `false`: there are compilers that do not take it."""

from collections.abc import Mapping
from typing import Any, Final

from dragoman.json_schema import rewritten

_DEFINITIONS: Final = ("$defs", "definitions")


def possible(schema: Any) -> Any:
    """The schema without what no value can be: its `false` branches and properties, and what is `false` because of them.

    `False` where nothing is left. It allows the same values.
    """
    made = _possible(schema)
    while made is not False and isinstance(made, Mapping):
        closed = {f"#/{word}/{name}" for word in _DEFINITIONS for name, inner in made.get(word, {}).items() if inner is False}
        if not closed:
            break
        kept = {word: _held(made[word]) for word in _DEFINITIONS if word in made}
        made = _possible(_without_references({**made, **kept}, closed))
    return made


def _possible(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made = rewritten(schema, lambda _, inner: _possible(inner))
    for word in ("anyOf", "oneOf"):
        if isinstance(made.get(word), list):
            made[word] = [branch for branch in made[word] if branch is not False]
            if not made[word]:
                return False
    if isinstance(properties := made.get("properties"), Mapping):
        made["properties"] = _held(properties)
        if any(name in properties and properties[name] is False for name in made.get("required", ())):
            return False
    if made.get("items") is False and "prefixItems" not in made:
        del made["items"]
        made["maxItems"] = 0
    return made


def _held(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner for name, inner in schemas.items() if inner is not False}


def _without_references(schema: Any, closed: set[str]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("$ref") in closed:
        return False
    return rewritten(schema, lambda _, inner: _without_references(inner, closed))
