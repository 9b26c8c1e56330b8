"""Forms of a tool's schema for chat templates: a simpler equivalent schema, or a description that contains the schema as JSON.

Schemas come from clients: recursion is limited by `_DEPTH`, the size of results by `_NODES`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from dragoman.json_schema.references import dereferenced, merged

Schema = Mapping[str, Any]

_DEPTH: Final = 12
_NODES: Final = 400
_LITERALS: Final = ("enum", "const", "default", "examples")
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")

ANY: Final = "any"
"""The type for schemas without one: templates print it, and models understand it."""


class TooLarge(Exception):
    """A schema is nested too deeply or too large to be rewritten."""


def simplified(schema: Any, root: Schema) -> dict[str, Any]:
    """An equivalent schema with single types where possible: references resolved, `null` as `nullable`, no `allOf`.

    Raises `TooLarge`.
    """
    return _Simplifier(root).simple(schema, 0)


class _Simplifier:
    """Simplifies one schema and the schemas in it."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes = 0

    def simple(self, schema: Any, depth: int) -> dict[str, Any]:
        self._nodes += 1
        if depth > _DEPTH or self._nodes > _NODES:
            raise TooLarge
        if not isinstance(schema, Mapping):
            return {"type": ANY} if schema is True else {"not": {}}
        made = dict(dereferenced(schema, self._root))
        for part in _listed(made.pop("allOf", None)):
            made = dict(merged(self.simple(part, depth + 1), made))
        for keyword in ("anyOf", "oneOf"):
            if keyword in made:
                made = self._chosen(made, keyword, depth)
        made = self._inside(_literals(made), depth)
        return _typed(made)

    def _chosen(self, schema: dict[str, Any], keyword: str, depth: int) -> dict[str, Any]:
        """The schema merged with its only alternative besides `null`; unchanged if there are several."""
        parts = [self.simple(part, depth + 1) for part in _listed(schema[keyword])]
        kept = [part for part in parts if part.get("type") != "null"]
        rest = {name: value for name, value in schema.items() if name != keyword}
        nullable = {"nullable": True} if len(kept) < len(parts) else {}
        if len(kept) == 1:
            return {**merged(kept[0], rest), **nullable}
        return {**rest, keyword: parts}

    def _inside(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        for keyword in ("properties", "items", "additionalProperties"):
            value = schema.get(keyword)
            if keyword == "properties" and isinstance(value, Mapping):
                schema[keyword] = {name: self.simple(inner, depth + 1) for name, inner in value.items()}
            elif isinstance(value, Mapping) and value:
                schema[keyword] = self.simple(value, depth + 1)
        return schema


def _literals(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with `const` as an enum of one value, and `null` among the values as `nullable`."""
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    values = schema.get("enum")
    if isinstance(values, list) and None in values and len(values) > 1:
        schema["enum"] = [value for value in values if value is not None]
        schema["nullable"] = True
    return schema


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with a single type, if possible."""
    for keyword in ("$defs", "definitions"):
        schema.pop(keyword, None)
    declared = schema.get("type")
    if isinstance(declared, list):
        kept = [name for name in declared if name != "null"]
        if len(kept) == 1:
            schema["type"] = kept[0]
        if len(kept) == 1 and len(declared) > 1:
            schema["nullable"] = True
    elif declared is None and not ({"anyOf", "oneOf", "not"} & schema.keys()):
        schema["type"] = _inferred(schema)
    return schema


def _inferred(schema: Schema) -> str:
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema:
        return "array"
    names = {_name_of(value) for value in _listed(schema.get("enum"))}
    return names.pop() if len(names) == 1 else ANY


def _name_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list():
            return "array"
        case _:
            return "object"


def described(schema: Any, root: Schema) -> dict[str, Any]:
    """A schema of a plain type whose description contains the whole schema as JSON."""
    own = schema if isinstance(schema, Mapping) else {}
    words = own.get("description")
    return {"type": _main_type(own, root), "description": in_words(schema, root, words if isinstance(words, str) else "")}


def in_words(schema: Any, root: Schema, words: str) -> str:
    """A description followed by the schema as JSON, with the definitions that it may refer to."""
    whole = schema
    if isinstance(schema, Mapping):
        whole = {name: value for name, value in schema.items() if name != "description"}
        encoded = json.dumps(whole, ensure_ascii=False)
        if '"$ref"' in encoded:
            whole |= {name: root[name] for name in ("$defs", "definitions") if name in root}
    return f"{words} (JSON Schema: {json.dumps(whole, ensure_ascii=False)})".lstrip()


def _main_type(schema: Schema, root: Schema) -> str:
    seen = dereferenced(schema, root)
    declared = seen.get("type")
    types = (
        {name for name in declared if isinstance(name, str)}
        if isinstance(declared, list)
        else {declared}
        if isinstance(declared, str)
        else set()
    )
    for keyword in ("anyOf", "oneOf"):
        types |= {_main_type(part, {}) for part in _listed(seen.get(keyword))[:_DEPTH] if isinstance(part, Mapping)}
    types -= {"null"}
    return types.pop() if len(types) == 1 else ANY if types else _inferred(seen)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and every schema in it. Raises `TooLarge`."""
    pending: list[tuple[Any, int]] = [(schema, 0)]
    for _ in range(_NODES):
        if not pending:
            return
        value, depth = pending.pop()
        if depth > _DEPTH:
            break
        if isinstance(value, dict):
            yield value
            pending.extend((inner, depth + 1) for inner in _below(value))
    raise TooLarge


def _below(schema: Mapping[str, Any]) -> Iterator[Any]:
    for keyword, value in schema.items():
        if keyword in _MAPS and isinstance(value, Mapping):
            yield from value.values()
        elif keyword not in _LITERALS:
            yield from value if isinstance(value, list) else [value]


def names(schema: Any) -> Iterator[str]:
    """The names of all properties. Raises `TooLarge`."""
    for node in nodes(schema):
        if isinstance(node.get("properties"), Mapping):
            yield from node["properties"]


def plain(schema: Any, renamed: Callable[[str], str], replaced: Callable[[str], str], depth: int = 0) -> Any:
    """A copy in which every property is `renamed` and every text `replaced`. Raises `TooLarge`."""
    if depth > 2 * _DEPTH:
        raise TooLarge
    if isinstance(schema, list):
        return [plain(inner, renamed, replaced, depth + 1) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "properties" and isinstance(value, Mapping):
            made[keyword] = {renamed(name): plain(inner, renamed, replaced, depth + 1) for name, inner in value.items()}
        elif keyword == "required" and isinstance(value, list):
            made[keyword] = [renamed(name) if isinstance(name, str) else name for name in value]
        elif keyword in _LITERALS:
            made[keyword] = _replaced_literal(value, replaced, depth)
        elif keyword == "description":
            made[keyword] = replaced("description") if isinstance(value, str) else value
        elif keyword not in ("title", "$schema", "$id", "$comment", "pattern"):
            made[keyword] = plain(value, renamed, replaced, depth + 1)
    return made


def _replaced_literal(value: Any, replaced: Callable[[str], str], depth: int) -> Any:
    if depth > 2 * _DEPTH:
        raise TooLarge
    match value:
        case str():
            return replaced(value)
        case list():
            return [_replaced_literal(inner, replaced, depth + 1) for inner in value]
        case Mapping():
            return {replaced(name): _replaced_literal(inner, replaced, depth + 1) for name, inner in value.items()}
        case _:
            return value


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
