"""Parses the arguments of calls in the history that are JSON text written by a model.

They may be cut, nested too deeply, or not an object. Such arguments must not block the conversation: what cannot be parsed as
an object is kept as text, under one name.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from dragoman.conversation.types import JsonObject

UNREAD: Final = "(arguments)"
"""The name for arguments that are not a JSON object."""
MAX_DEPTH: Final = 200
"""The maximum nesting, as in the body of a request."""


def called_with(arguments: Any) -> JsonObject:
    """The arguments, usually JSON text, as a JSON object.

    Numbers that JSON does not have become text; a lone surrogate becomes U+FFFD.
    """
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, Mapping):
        return dict(arguments)
    if not isinstance(arguments, str):
        return {UNREAD: json.dumps(arguments)}
    try:
        value = json.loads(arguments, strict=False, parse_constant=str, parse_float=_number)
        if isinstance(value, dict):
            made: JsonObject = _clean(value, MAX_DEPTH)
            return made
    except (ValueError, RecursionError):
        pass
    return {UNREAD: _whole(arguments)}


def _number(text: str) -> float | str:
    number = float(text)
    return number if number - number == 0 else text  # infinite: too large for a float


def _clean(value: Any, depth: int) -> Any:
    """The value without lone surrogates. Raises `RecursionError` if it is nested too deeply."""
    if depth < 0:
        raise RecursionError
    match value:
        case str():
            return _whole(value)
        case dict():
            return {_whole(name): _clean(inner, depth - 1) for name, inner in value.items()}
        case list():
            return [_clean(inner, depth - 1) for inner in value]
        case _:
            return value


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
