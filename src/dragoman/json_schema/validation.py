"""Validates values against JSON Schemas, where that is safe.

Schemas come from clients. A reference to a URL would make this server fetch it; and references that branch multiply, so that
a schema of one kilobyte could take days. Such schemas are not used for validation.
"""

from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import msgspec

from dragoman.json_schema.references import Schema
from dragoman.json_schema.size import measured

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The draft that every schema is read as, whatever its `$schema` says; that could be a URL to fetch, too."""
_MOST_WAYS: Final = 10_000
"""The most places of a schema, with references followed."""
_DEEPEST: Final = 200
_WORTH_REMEMBERING: Final = 32 * 1024


def validator(schema: Schema) -> jsonschema_rs.Validator | None:
    """A validator for this schema; None where it is not a valid schema, or where validation is not safe."""
    encoded = msgspec.json.encode({**schema, "$schema": DRAFT})
    return _remembered(encoded) if len(encoded) <= _WORTH_REMEMBERING else _validator(encoded)


def _validator(schema: bytes) -> jsonschema_rs.Validator | None:
    read = msgspec.json.decode(schema)
    size = measured(read)
    if size.dynamic or size.ways > _MOST_WAYS or max(size.depth, size.unfolded) > _DEEPEST:
        return None
    try:
        return jsonschema_rs.validator_for(read, mask="the value", retriever=_refuse_fetch)  # `mask`: values may be long
    except ValueError:
        return None


_remembered = lru_cache(maxsize=256)(_validator)
"""Validators are cached, as an agent sends the same tools with every request; those of larger schemas are not."""


def _refuse_fetch(uri: str) -> Any:
    """Refuse to fetch a schema from a URL."""
    raise ValueError(uri)
