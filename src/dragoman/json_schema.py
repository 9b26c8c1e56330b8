"""JSON Schemas: where schemas stand inside them, and whether a value is one's, where it is safe to ask.

Schemas come from strangers. One may point at an address, and asking would send this server there; and references that branch
multiply, so that a schema of one kilobyte could keep it busy for days. Such a schema is not asked.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf
from typing import Any, Final
from urllib.parse import unquote

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

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_MOST_LINKS: Final = 4096
"""References that are followed one after the other from one place."""
_MOST_PLACES: Final = 10_000
"""Places of a document that are searched for an anchor."""


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
    """What a reference within the document points at; an empty schema where it points at nothing, or to another document.

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
        found = _member(found, step.replace("~1", "/").replace("~0", "~"))
    return found if isinstance(found, Mapping) else {}


def dereferenced(schema: Schema, root: Schema) -> Schema:
    """The schema with its own reference replaced by what that points at, through chains; what stands beside one is kept.

    Where the references lead in a circle, or further than `_MOST_LINKS`, only what stands beside them is left.
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
    """Both schemas at once, as far as properties go; elsewhere the right one wins."""
    made = {**left, **right}
    if isinstance(left.get("properties"), Mapping) and isinstance(right.get("properties"), Mapping):
        made["properties"] = {**left["properties"], **right["properties"]}
    if isinstance(left.get("required"), list) and isinstance(right.get("required"), list):
        made["required"] = [*left["required"], *right["required"]]
    return made


def _member(value: object, step: str) -> object:
    """What one step of a JSON Pointer leads to; None where it leads nowhere."""
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
