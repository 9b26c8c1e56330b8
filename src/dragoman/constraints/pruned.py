"""Removes `false` from schemas, for compilers that do not support it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dragoman.json_schema.graphs import components
from dragoman.json_schema.references import rewritten

_DEFINITIONS: Final = ("$defs", "definitions")


def pruned(schema: Any) -> Any:
    """The schema without the parts that no value satisfies: `false` branches and properties, and what these make `false`.

    It allows the same values; `False` where it allows none.
    """
    if not isinstance(schema, Mapping):
        return schema
    named = {word: schema[word] for word in _DEFINITIONS if isinstance(schema.get(word), Mapping)}
    made = _definitions({f"#/{word}/{name}": inner for word, known in named.items() for name, inner in known.items()})
    closed = {pointer for pointer, inner in made.items() if inner is False}
    rest = _possible({word: inner for word, inner in schema.items() if word not in named}, closed)
    if rest is False:
        return False
    return rest | {word: _held({name: made[f"#/{word}/{name}"] for name in known}) for word, known in named.items()}


def _definitions(known: Mapping[str, Any]) -> dict[str, Any]:
    """The pruned definitions by their pointers, `False` for those that allow no value.

    Each is pruned after those that it refers to; again only where one in a cycle with it turns out to be `False`.
    """
    references = {pointer: {*_references(inner)} & known.keys() for pointer, inner in known.items()}
    users: dict[str, list[str]] = {pointer: [] for pointer in known}
    for pointer, inner in references.items():
        for reference in inner:
            users[reference].append(pointer)
    made: dict[str, Any] = {}
    closed: set[str] = set()
    pending = dict.fromkeys(pointer for members in components(references) for pointer in members)
    while pending:
        pointer = next(iter(pending))
        del pending[pointer]
        made[pointer] = _possible(known[pointer], closed)
        if made[pointer] is False:
            closed.add(pointer)
            pending |= dict.fromkeys(user for user in users[pointer] if user not in closed)
    return made


def _references(schema: object) -> Iterator[str]:
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(reference := value.get("$ref"), str):
                yield reference
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _possible(schema: Any, closed: set[str]) -> Any:
    """The schema, pruned, where the pointers in `closed` are known to allow no value."""
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("$ref") in closed:
        return False
    made = rewritten(schema, lambda _, inner: _possible(inner, closed))
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
