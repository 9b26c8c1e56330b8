"""Forms of a tool's schema that chat templates can show: simpler ones that say the same, and a description in words and JSON.

Schemas come from clients: recursion is bounded by `_DEPTH`, the size of what is made by `_NODES`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from dragoman.json_schema.references import dereferenced, merged

Schema = Mapping[str, Any]

_DEPTH: Final = 12
_NODES: Final = 400
_UNSAID: Final = frozenset({"$schema", "$id", "$comment", "title", "$defs", "definitions", "description"})
"""Keywords that say nothing about a value by themselves."""
_LITERALS: Final = ("enum", "const", "default", "examples")
_MAPS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")

ANY: Final = "any"
"""The type that stands where a schema names none: templates print it, and a model can read it."""


class TooLarge(Exception):
    """A schema is nested too deeply or holds too much to be rewritten."""


def simplified(schema: Any, root: Schema) -> dict[str, Any]:
    """The same schema with one type wherever it can be said so: references followed, `null` said as `nullable`, no `allOf`.

    Raises `TooLarge`.
    """
    return _Simplifier(root).simple(schema, 0)


class _Simplifier:
    """Rewrites the parts of one schema."""

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
        """The schema with its only alternative besides `null` in it; as it is where there are more."""
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
    """`const` is an enum of one; `null` among the values is said as `nullable`."""
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    values = schema.get("enum")
    if isinstance(values, list) and None in values and len(values) > 1:
        schema["enum"] = [value for value in values if value is not None]
        schema["nullable"] = True
    return schema


def _typed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with one type, if it has one."""
    for keyword in ("$defs", "definitions"):
        schema.pop(keyword, None)
    said = schema.get("type")
    if isinstance(said, list):
        kept = [name for name in said if name != "null"]
        if len(kept) == 1:
            schema["type"] = kept[0]
        if len(kept) == 1 and len(said) > 1:
            schema["nullable"] = True
    elif said is None and not ({"anyOf", "oneOf", "not"} & schema.keys()):
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
    """A plain type, and the schema as JSON in the description."""
    own = schema if isinstance(schema, Mapping) else {}
    words = own.get("description")
    return {"type": _main_type(own, root), "description": in_words(schema, root, words if isinstance(words, str) else "")}


def in_words(schema: Any, root: Schema, words: str) -> str:
    """A description with the schema behind it, as JSON with the definitions that it may refer to."""
    whole = schema
    if isinstance(schema, Mapping):
        whole = {name: value for name, value in schema.items() if name != "description"}
        encoded = json.dumps(whole, ensure_ascii=False)
        if '"$ref"' in encoded:
            whole |= {name: root[name] for name in ("$defs", "definitions") if name in root}
    return f"{words} (JSON Schema: {json.dumps(whole, ensure_ascii=False)})".lstrip()


def _main_type(schema: Schema, root: Schema) -> str:
    seen = dereferenced(schema, root)
    said = seen.get("type")
    types = (
        {name for name in said if isinstance(name, str)}
        if isinstance(said, list)
        else {said}
        if isinstance(said, str)
        else set()
    )
    for keyword in ("anyOf", "oneOf"):
        types |= {_main_type(part, {}) for part in _listed(seen.get(keyword))[:_DEPTH] if isinstance(part, Mapping)}
    types -= {"null"}
    return types.pop() if len(types) == 1 else ANY if types else _inferred(seen)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside, itself included. Raises `TooLarge`."""
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


def plain(schema: Any, renamed: Callable[[str], str], said: Callable[[str], str], depth: int = 0) -> Any:
    """A copy in which every property is renamed, and every text is another. Raises `TooLarge`."""
    if depth > 2 * _DEPTH:
        raise TooLarge
    if isinstance(schema, list):
        return [plain(inner, renamed, said, depth + 1) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "properties" and isinstance(value, Mapping):
            made[keyword] = {renamed(name): plain(inner, renamed, said, depth + 1) for name, inner in value.items()}
        elif keyword == "required" and isinstance(value, list):
            made[keyword] = [renamed(name) if isinstance(name, str) else name for name in value]
        elif keyword in _LITERALS:
            made[keyword] = _spoken(value, said, depth)
        elif keyword == "description":
            made[keyword] = said("description") if isinstance(value, str) else value
        elif keyword not in ("title", "$schema", "$id", "$comment", "pattern"):
            made[keyword] = plain(value, renamed, said, depth + 1)
    return made


def _spoken(value: Any, said: Callable[[str], str], depth: int) -> Any:
    if depth > 2 * _DEPTH:
        raise TooLarge
    match value:
        case str():
            return said(value)
        case list():
            return [_spoken(inner, said, depth + 1) for inner in value]
        case Mapping():
            return {said(name): _spoken(inner, said, depth + 1) for name, inner in value.items()}
        case _:
            return value


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
