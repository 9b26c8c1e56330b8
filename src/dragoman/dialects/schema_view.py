"""What a JSON Schema allows at each place of a value, asked by those who read values.

A view may allow more than its schema, never less: keywords that it does not know and what would take too long to find out
count as allowing anything. So a value whose type a view does not allow is not valid, and one that is valid is allowed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from dragoman.json_schema import resolve

ANY = frozenset({"null", "boolean", "integer", "number", "array", "object", "string"})
STRING = frozenset({"string"})

_MOST_ALTERNATIVES = 1024
_MOST_AT_ONCE = 64
_MOST_STEPS = 8192
"""References, unions and conjunctions followed from one place."""

_LOOKED_AT = frozenset(
    {"type", "enum", "const", "nullable", "properties", "patternProperties", "additionalProperties", "required"}
    | {"items", "prefixItems", "additionalItems"}
)
"""The keywords that a view knows, beside those that it takes apart."""

_JSON_TYPES = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"
}  # fmt: skip


class SchemaView:
    """One place in a schema: the alternatives that a value there has, each of them several schemas at once.

    References, `anyOf`, `oneOf` and `allOf` are taken apart when the view is made; views of places inside are made when asked
    for and kept, so that each is made once.
    """

    def __init__(self, schema: object, root: object = None) -> None:
        self._set([[schema]], _mapping(schema if root is None else root))

    def _set(self, conjunctions: Iterable[list[object]], root: Mapping[str, Any]) -> None:
        self._root = root
        self._alternatives = _alternatives(conjunctions, root)
        self._known: dict[str | int | None, SchemaView] = {}

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The JSON types of the values that are allowed; a number without a fraction is an `integer`."""
        return frozenset().union(*map(_kinds, self._alternatives)) or ANY

    @cached_property
    def plain_kinds(self) -> frozenset[str]:
        """The types to read plain text as: those allowed; where any is, what the schema hints at, else a string alone."""
        if self.kinds != ANY:
            return self.kinds
        said = (kinds if (kinds := _kinds(schemas)) != ANY else _hinted(schemas) for schemas in self._alternatives)
        return frozenset().union(*said) or STRING

    @cached_property
    def strings(self) -> frozenset[str] | None:
        """The only strings that are allowed; None where any is, as far as the view knows."""
        found: set[str] = set()
        for schemas in self._alternatives:
            if "string" in _kinds(schemas):
                listed = next((values for schema in schemas if (values := _values(schema)) is not None), None)
                if listed is None:
                    return None
                found.update(value for value in listed if isinstance(value, str))
        return frozenset(found)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The names of the properties that the schema names, in order."""
        known = (_mapping(schema.get("properties")) for schemas in self._alternatives for schema in schemas)
        return tuple(dict.fromkeys(key for properties in known for key in properties))

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of the properties that must be there, whatever the alternative."""
        named = [
            {name for schema in schemas for name in _listed(schema.get("required")) if isinstance(name, str)}
            for schemas in self._alternatives
        ]
        return frozenset(set.intersection(*named)) if named else frozenset()

    @cached_property
    def only_string(self) -> str:
        """The one property that is required, or the only one there is, if it is a string; "" where there is none."""
        required = [schema.get("required") for schemas in self._alternatives for schema in schemas]
        keys = next((listed for listed in required if isinstance(listed, list) and listed), self.keys)
        return keys[0] if len(keys) == 1 and isinstance(keys[0], str) and self.member(keys[0]).kinds == STRING else ""

    def member(self, key: str) -> "SchemaView":
        """The place under a key of an object."""
        named = any(key in _mapping(schema.get("properties")) for schemas in self._alternatives for schema in schemas)
        return self._inner(key if named else None, "object", lambda schema: _member(schema, key) if named else _others(schema))

    def element(self, index: int) -> "SchemaView":
        """The place of one element of an array."""
        longest = max((len(_prefix(schema)) for schemas in self._alternatives for schema in schemas), default=0)
        return self._inner(min(index, longest), "array", lambda schema: _element(schema, index))

    def _inner(self, name: str | int | None, kind: str, inside: Callable[[Mapping[str, Any]], object]) -> "SchemaView":
        if name not in self._known:
            fitting = (schemas for schemas in self._alternatives if kind in _kinds(schemas))
            view = SchemaView.__new__(SchemaView)
            view._set(([*map(inside, schemas)] for schemas in fitting), self._root)
            self._known[name] = view
        return self._known[name]


def _alternatives(conjunctions: Iterable[list[object]], root: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], ...]]:
    """All references followed and all unions written out; one alternative without schemas where that is too much."""
    found: list[tuple[Mapping[str, Any], ...]] = []
    pending: list[tuple[list[object], tuple[Mapping[str, Any], ...]]] = [(schemas, ()) for schemas in conjunctions]
    for _ in range(_MOST_STEPS):
        if not pending:
            return found
        if len(pending) + len(found) > _MOST_ALTERNATIVES:
            break
        todo, done = pending.pop()
        if not todo:
            found.append(done)
            continue
        *todo, schema = todo
        if schema is False:
            continue
        if not isinstance(schema, Mapping) or any(schema is other for other in done):
            pending.append((todo, done))
            continue
        if len(done) == _MOST_AT_ONCE:
            break
        if isinstance(reference := schema.get("$ref"), str):
            todo.append(resolve(reference, root))
        if isinstance(parts := schema.get("allOf"), list):
            todo += parts
        unions = [union for word in ("anyOf", "oneOf") if isinstance(union := schema.get(word), list) and union]
        branches: list[list[object]] = [todo]
        for union in unions:
            if len(branches) * len(union) > _MOST_ALTERNATIVES:
                return [()]
            branches = [[*branch, choice] for branch in branches for choice in union]
        done = (*done, schema) if _LOOKED_AT & schema.keys() else done
        pending += ((branch, done) for branch in reversed(branches))
    return [()]


def _kinds(schemas: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The types that all of these schemas allow."""
    kinds = ANY
    for schema in schemas:
        kinds &= _own_kinds(schema)
    return kinds


def _own_kinds(schema: Mapping[str, Any]) -> frozenset[str]:
    named = schema.get("type")
    listed = named if isinstance(named, list) else [named]
    kinds = {kind for kind in listed if isinstance(kind, str)}
    allowed = frozenset(kinds) if kinds and kinds <= ANY else ANY
    if "number" in allowed:
        allowed |= {"integer"}
    if (values := _values(schema)) is not None:
        allowed &= {_JSON_TYPES[type(value)] for value in values if type(value) in _JSON_TYPES}
    if "number" in allowed:
        allowed |= {"integer"}  # 1.0 is one
    return allowed | {"null"} if schema.get("nullable") is True else allowed


def _hinted(schemas: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """What schemas without types are meant for."""
    hints = {"properties": "object", "items": "array", "prefixItems": "array"}
    return frozenset(kind for schema in schemas for word, kind in hints.items() if word in schema)


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    """The only values that a schema allows, where it lists them."""
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) else None


def _member(schema: Mapping[str, Any], key: str) -> object:
    known = _mapping(schema.get("properties"))
    return known[key] if key in known else _others(schema)


def _others(schema: Mapping[str, Any]) -> object:
    """The schema of the properties that are not named."""
    return True if "patternProperties" in schema else schema.get("additionalProperties", True)


def _element(schema: Mapping[str, Any], index: int) -> object:
    prefix = _prefix(schema)
    if index < len(prefix):
        return prefix[index]
    items = schema.get("items", True)
    return schema.get("additionalItems", True) if isinstance(items, list) else items


def _prefix(schema: Mapping[str, Any]) -> Sequence[object]:
    """The schemas of the first elements, each by its place; older drafts list them as `items`."""
    return _listed(schema.get("prefixItems", schema.get("items")))


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
