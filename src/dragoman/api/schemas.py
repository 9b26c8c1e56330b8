"""Rules for a tool's `input_schema` (TOOL-3) and its examples (TOOL-12)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from dragoman.errors import InvalidRequest
from dragoman.json_schema.validation import DRAFT, validator
from dragoman.limits import DEFAULT, Limits

_WORTH_REMEMBERING = 32 * 1024


def check_schema(schema: dict[str, Any], path: str, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` at `path` if the schema is invalid, too large, or not the schema of an object."""
    if schema.get("type") != "object":
        raise InvalidRequest.at(f"{path}.type", "Input should be 'object'" if "type" in schema else "Field required")
    if any(key in schema for key in ("oneOf", "allOf", "anyOf")):
        raise InvalidRequest.at(path, "input_schema does not support oneOf, allOf, or anyOf at the top level")
    check_valid(schema, path, limits)


def check_valid(schema: dict[str, Any], path: str, limits: Limits = DEFAULT) -> None:
    """Raise `InvalidRequest` at `path` if the schema is invalid or too large."""
    encoded = msgspec.json.encode(schema)
    problem = (_remembered_problem if len(encoded) <= _WORTH_REMEMBERING else _problem)(encoded, limits)
    if problem is not None:
        raise InvalidRequest.at(path, problem)


def _problem(encoded: bytes, limits: Limits) -> str | None:
    """The problem of a schema, or None. Like the API, it checks draft 2020-12 whatever `$schema` says."""
    schema = msgspec.json.decode(encoded)
    if excess := limits.schema_excess(schema):
        return excess
    try:
        jsonschema_rs.meta.validate({**schema, "$schema": DRAFT})
    except jsonschema_rs.ValidationError as error:
        return f"JSON schema is invalid. It must match JSON Schema draft 2020-12. {_message(error)}"
    return None


def _message(error: jsonschema_rs.ValidationError) -> str:
    place = ".".join(str(step) for step in error.instance_path)
    return f"{place}: {error.message}" if place else error.message


_remembered_problem = lru_cache(maxsize=1024)(_problem)
"""An agent sends the same tools in every request; schemas larger than `_WORTH_REMEMBERING` are not cached."""


def check_examples(schema: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], path: str) -> None:
    """Raise `InvalidRequest` at the path of the first example that does not match the schema.

    Examples are not checked if that could take unbounded time, or if the schema refers to another document.
    """
    checks = validator(schema) if examples else None
    if checks is None:
        return
    for index, example in enumerate(examples):
        for misfit in checks.iter_errors(example):
            raise InvalidRequest.at(f"{path}.{index}", f"the example does not match input_schema: {_message(misfit)}")
