"""Finds the schemas inside a schema, and resolves references."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

Schema = Mapping[str, Any]
"""A JSON Schema that is an object. `True` and `False` are schemas too."""

_BY_NAME: Final = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_BELOW: Final = frozenset(
    {"anyOf", "oneOf", "allOf", "prefixItems", "items", "additionalProperties", "not", "if", "then", "else"}
    | {"contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
)

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_MOST_LINKS: Final = 4096
"""The longest chain of references that is followed from one place."""
_MOST_PLACES: Final = 10_000
"""The most places of a document that are searched for an anchor."""


def rewritten(schema: Schema, change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """A copy, with every schema directly inside replaced by `change(keyword, inner)`. All else and the order stay the same."""
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
    """The schema that a reference within the document points at; an empty one where there is none, or in another document.

    The fragment is a JSON Pointer (RFC 6901, sections 4 and 6: percent-encoded, arrays by index) or a plain name that an
    `$anchor` gives. The result may be a reference again; `dereferenced` follows them all.
    """
    document, _, fragment = reference.partition("#")
    if document and document != root.get("$id"):
        return {}
    pointer = unquote(fragment)
    if pointer and not pointer.startswith("/"):
        return _anchored(pointer, root)
    found: object = root
    for step in pointer.split("/")[1:]:
        if found is None:
            break
        found = _member(found, step.replace("~1", "/").replace("~0", "~"))
    return found if isinstance(found, Mapping) else {}


class Resolver:
    """`resolve` for one document: each spelling is looked up once."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[str, Schema] = {}

    def __call__(self, reference: str) -> Schema:
        """The schema that the reference points at, the same object at every call."""
        known = self._known.get(reference)
        if known is None:
            known = self._known[reference] = resolve(reference, self._root)
        return known


def dereferenced(schema: Schema, root: Schema) -> Schema:
    """The schema with its own reference replaced by its target, through chains; keywords beside a reference are kept.

    Where the references form a cycle, or a chain longer than `_MOST_LINKS`, only the keywords beside them are left.
    """
    beside: Schema = {}
    seen: set[str] = set()
    while isinstance(reference := schema.get("$ref"), str):
        beside = merged({word: value for word, value in schema.items() if word != "$ref"}, beside)
        if reference in seen or len(seen) == _MOST_LINKS:
            return beside
        seen.add(reference)
        schema = resolve(reference, root)
    return merged(schema, beside) if beside else schema


def merged(left: Schema, right: Schema) -> Schema:
    """Both schemas in one: their properties and required names together; for other keywords the right one wins."""
    made = {**left, **right}
    if isinstance(left.get("properties"), Mapping) and isinstance(right.get("properties"), Mapping):
        made["properties"] = {**left["properties"], **right["properties"]}
    if isinstance(left.get("required"), list) and isinstance(right.get("required"), list):
        made["required"] = [*left["required"], *right["required"]]
    return made


def _member(value: object, step: str) -> object:
    """The value at one step of a JSON Pointer; None where there is none."""
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
        return value[int(step)]
    return None


def _anchored(name: str, root: Schema) -> Schema:
    """The schema with this `$anchor`, looked for in the first `_MOST_PLACES` places of the document."""
    pending: list[object] = [root]
    for _ in range(_MOST_PLACES):
        if not pending:
            break
        value = pending.pop()
        if isinstance(value, Mapping):
            if name in (value.get("$anchor"), value.get("$dynamicAnchor")):
                return value
            pending.extend(inner for inner in value.values() if isinstance(inner, Mapping | list))
        elif isinstance(value, list):
            pending.extend(inner for inner in value if isinstance(inner, Mapping | list))
    return {}
