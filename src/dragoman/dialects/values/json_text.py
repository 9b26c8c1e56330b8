"""JSON text as the models saw it in training, and the names of JSON's types."""

import json
import re
from collections.abc import Mapping
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\"\\]")


def dumps(value: Any) -> str:
    """A value as JSON: the key order is kept, nothing is escaped that need not be, a space follows commas and colons."""
    return json.dumps(value, ensure_ascii=False)


def escape(text: str) -> str:
    """Text escaped as the inside of a JSON string."""
    return dumps(text)[1:-1] if _CONTROL.search(text) else text


def json_type(value: Any) -> str:
    """The JSON type of a value; every number is a `number`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"
