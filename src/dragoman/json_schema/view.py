"""A view of the values that a JSON Schema allows at each place, for the readers of tool arguments.

A view may allow more than its schema, never less: keywords that it does not know, and parts that would take too long, count as
allowing anything. So a value whose type a view does not allow is not valid, and one that is valid is allowed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dragoman.json_schema.references import Resolver

ANY = frozenset({"null", "boolean", "integer", "number", "array", "object", "string"})
STRING = frozenset({"string"})

_MOST_ALTERNATIVES = 1024
_MOST_AT_ONCE = 64
_MOST_STEPS = 8192
"""The most schemas that are visited to find the alternatives of one place."""
_MOST_STEPS_IN_ALL = 32_768
"""The same for all places of one schema together."""
_STEP_CHARACTERS = 16
"""Characters of a reference that are as much work as one step."""

_KNOWN_KEYWORDS = frozenset(
    {"type", "enum", "const", "nullable", "properties", "patternProperties", "additionalProperties", "required"}
    | {"items", "prefixItems", "additionalItems"}
)
"""The keywords that a view knows, apart from references, unions and conjunctions."""

_JSON_TYPES = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"
}  # fmt: skip


class SchemaView:
    """One place in a schema: the alternatives for a value there, each a conjunction of schemas.

    References, `anyOf`, `oneOf` and `allOf` are taken apart when the view is made; views of places inside are made on demand
    and cached.
    """

    def __init__(self, schema: object, root: object = None) -> None:
        self._set([[schema]], _Root(_mapping(schema if root is None else root)))

    def _set(self, conjunctions: Iterable[list[object]], root: "_Root") -> None:
        self._root = root
        self._alternatives = _Alternatives(root).of(conjunctions)
        self._known: dict[str | int | None, SchemaView] = {}

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The JSON types of the allowed values; a number without a fraction is an `integer`."""
        return frozenset().union(*map(self._root.kinds, self._alternatives)) or ANY

    @cached_property
    def plain_kinds(self) -> frozenset[str]:
        """The types to read plain text as: the allowed ones; where all are, those that keywords hint at, else string only."""
        if self.kinds != ANY:
            return self.kinds
        hinted = (kinds if (kinds := self._root.kinds(schemas)) != ANY else _hinted(schemas) for schemas in self._alternatives)
        return frozenset().union(*hinted) or STRING

    @cached_property
    def strings(self) -> frozenset[str] | None:
        """The allowed strings; None where any is allowed, as far as the view knows."""
        found: dict[int, list[Any]] = {}  # each list once, even if it is in several alternatives
        for schemas in self._alternatives:
            if "string" in self._root.kinds(schemas):
                listed = next(((id(schema), values) for schema in schemas if (values := _values(schema)) is not None), None)
                if listed is None:
                    return None
                found.setdefault(*listed)
        return frozenset(value for values in found.values() for value in values if isinstance(value, str))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The names of the properties in the schema, in order."""
        return tuple(dict.fromkeys(key for schema in self._schemas for key in _mapping(schema.get("properties"))))

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of the properties that are required in every alternative; empty where that takes too many steps."""
        named: set[str] | None = None
        for schemas in self._alternatives:
            lists = [_listed(schema.get("required")) for schema in schemas]
            if not self._root.spend(sum(map(len, lists))):
                return frozenset()
            own = {name for listed in lists for name in listed if isinstance(name, str)}
            named = own if named is None else named & own
            if not named:
                break
        return frozenset(named or ())

    @cached_property
    def only_string(self) -> str:
        """The single required property, or the single property, if it is a string; "" where there is none."""
        required = [schema.get("required") for schema in self._schemas]
        keys = next((listed for listed in required if isinstance(listed, list) and listed), self.keys)
        return keys[0] if len(keys) == 1 and isinstance(keys[0], str) and self.member(keys[0]).kinds == STRING else ""

    def member(self, key: str) -> "SchemaView":
        """The view of the value of an object's key."""
        named = key in self._names
        return self._inner(key if named else None, "object", lambda schema: _member(schema, key) if named else _others(schema))

    def element(self, index: int) -> "SchemaView":
        """The view of one element of an array."""
        return self._inner(min(index, self._longest), "array", lambda schema: _element(schema, index))

    @cached_property
    def _schemas(self) -> list[Mapping[str, Any]]:
        """Every schema of the alternatives once, in order."""
        return list({id(schema): schema for schemas in self._alternatives for schema in schemas}.values())

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.keys)

    @cached_property
    def _longest(self) -> int:
        """The largest number of array elements that have schemas of their own."""
        return max((len(_prefix(schema)) for schema in self._schemas), default=0)

    def _inner(self, name: str | int | None, kind: str, inside: Callable[[Mapping[str, Any]], object]) -> "SchemaView":
        if name not in self._known:
            fitting = (schemas for schemas in self._alternatives if kind in self._root.kinds(schemas))
            view = SchemaView.__new__(SchemaView)
            view._set(([*map(inside, schemas)] for schemas in fitting), self._root)
            self._known[name] = view
        return self._known[name]


class _Root:
    """State that all views of one schema share: its references, the types of its parts, and the remaining steps."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.resolve = Resolver(schema)
        self._left = _MOST_STEPS_IN_ALL
        self._own_kinds: dict[int, frozenset[str]] = {}

    def spend(self, steps: int) -> bool:
        """Use up steps, and return whether there were that many left."""
        self._left = max(self._left - steps, -1)
        return self._left >= 0

    def kinds(self, schemas: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        """The types that all of these schemas allow."""
        kinds = ANY
        for schema in schemas:
            own = self._own_kinds.get(id(schema))
            if own is None:
                own = self._own_kinds[id(schema)] = _own_kinds(schema)
            kinds &= own
        return kinds


@dataclass(frozen=True, slots=True, eq=False)
class _Todo:
    """A schema still to be taken apart, and the others of the same conjunction (a linked list)."""

    schema: object
    rest: "_Todo | None"


_Done = tuple[Mapping[str, Any], ...]


class _Alternatives:
    """Follows the references and expands the unions of one place.

    A state that was visited once is not visited again: so equal branches count once, and a cyclic reference adds nothing.
    """

    def __init__(self, root: _Root) -> None:
        self._root = root
        self._left = _MOST_STEPS
        self._cells: dict[tuple[int, int], _Todo] = {}
        self._seen: set[tuple[int, tuple[int, ...]]] = set()
        self._pending: list[tuple[_Todo | None, _Done]] = []

    def of(self, conjunctions: Iterable[list[object]]) -> list[_Done]:
        """The alternatives; a single one without schemas, which allows anything, where there are none or too many steps."""
        for schemas in conjunctions:
            if not (self._spend(len(schemas)) and self._add(self._with(None, schemas), ())):
                return [()]
        found: list[_Done] = []
        while self._pending:
            todo, done = self._pending.pop()
            if not self._spend(1 + len(done)) or len(self._pending) + len(found) > _MOST_ALTERNATIVES:
                return [()]
            if todo is None:
                found.append(done)
            elif not self._step(todo.schema, todo.rest, done):
                return [()]
        return found or [()]

    def _step(self, schema: object, rest: _Todo | None, done: _Done) -> bool:
        """Take one schema apart; return False where that exceeds a limit."""
        if schema is False:
            return True
        if not isinstance(schema, Mapping) or any(schema is other for other in done):
            return self._add(rest, done)
        if _KNOWN_KEYWORDS & schema.keys():
            done = (*done, schema)
        if len(done) > _MOST_AT_ONCE:
            return False
        parts = _listed(schema.get("allOf"))
        reference = schema.get("$ref")
        if not self._spend(len(parts) + (len(reference) // _STEP_CHARACTERS if isinstance(reference, str) else 0)):
            return False
        if isinstance(reference, str):
            rest = self._with(rest, [self._root.resolve(reference)])
        branches = [self._with(rest, parts)]
        for union in (choices for word in ("anyOf", "oneOf") if (choices := _listed(schema.get(word)))):
            if len(branches) * len(union) > _MOST_ALTERNATIVES or not self._spend(len(branches) * len(union)):
                return False
            branches = [self._with(branch, [choice]) for branch in branches for choice in union]
        return all(self._add(branch, done) for branch in reversed(branches))

    def _with(self, rest: _Todo | None, schemas: Iterable[object]) -> _Todo | None:
        """The rest with these schemas before it; the same object for the same arguments."""
        for schema in schemas:
            rest = self._cells.setdefault((id(schema), id(rest)), _Todo(schema, rest))
        return rest

    def _add(self, todo: _Todo | None, done: _Done) -> bool:
        state = (id(todo), tuple(map(id, done)))
        if state not in self._seen:
            self._seen.add(state)
            self._pending.append((todo, done))
        return len(self._pending) <= _MOST_ALTERNATIVES

    def _spend(self, steps: int) -> bool:
        self._left -= steps
        return self._root.spend(steps) and self._left >= 0


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
    """The types that schemas without a type are meant for, by their keywords."""
    hints = {"properties": "object", "items": "array", "prefixItems": "array"}
    return frozenset(kind for schema in schemas for word, kind in hints.items() if word in schema)


def _values(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that a schema allows, where it lists them."""
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) else None


def _member(schema: Mapping[str, Any], key: str) -> object:
    known = _mapping(schema.get("properties"))
    return known[key] if key in known else _others(schema)


def _others(schema: Mapping[str, Any]) -> object:
    """The schema of the properties that the schema does not name."""
    return True if "patternProperties" in schema else schema.get("additionalProperties", True)


def _element(schema: Mapping[str, Any], index: int) -> object:
    prefix = _prefix(schema)
    if index < len(prefix):
        return prefix[index]
    items = schema.get("items", True)
    return schema.get("additionalItems", True) if isinstance(items, list) else items


def _prefix(schema: Mapping[str, Any]) -> Sequence[object]:
    """The schemas of the first elements, by position; older drafts list them as `items`."""
    return _listed(schema.get("prefixItems", schema.get("items")))


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
