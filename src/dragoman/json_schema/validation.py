"""Whether a value fits a JSON Schema, where that can be checked safely.

Schemas come from clients. One may point at an address, and checking would send this server there; and references that branch
multiply, so that a schema of one kilobyte could keep it busy for days. Such a schema is not used for checking.
"""

from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import msgspec

from dragoman.json_schema.references import Schema
from dragoman.json_schema.size import measured

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
"""What every schema is read as, whatever its `$schema` says; that could be an address, too."""
_MOST_WAYS: Final = 10_000
"""Places of a schema against which one value may be held, every reference followed."""
_DEEPEST: Final = 200
_WORTH_REMEMBERING: Final = 32 * 1024


def validator(schema: Schema) -> jsonschema_rs.Validator | None:
    """What checks values by this schema; None where it is none, or where checking is not safe."""
    encoded = msgspec.json.encode({**schema, "$schema": DRAFT})
    return _remembered(encoded) if len(encoded) <= _WORTH_REMEMBERING else _validator(encoded)


def _validator(schema: bytes) -> jsonschema_rs.Validator | None:
    read = msgspec.json.decode(schema)
    size = measured(read)
    if size.dynamic or size.ways > _MOST_WAYS or max(size.depth, size.unfolded) > _DEEPEST:
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
