"""What every model of a request shares: how it reads, and how a fault in it is told."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from dragoman.errors import InvalidRequest


class WireModel(BaseModel):
    """Part of a request. Types are exact (`"5"` is no integer); fields we do not know are carried, not refused (BETA-2).

    `open`: any field may be there, and none of them is unknown.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    open: ClassVar[bool] = False


class CacheControl(WireModel):
    """A cache breakpoint: accepted everywhere the API has it, and never a byte of the prompt (CACHE-1)."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


_PLAIN, _LIST = "(plain)", "(list)"  # parenthesised: `fault` leaves them out of paths


def _plain_or_list(value: object) -> str | None:
    if isinstance(value, str):
        return _PLAIN
    return _LIST if isinstance(value, list | tuple) else None


_ATTACHED = ("image", "document")
"""Kinds of blocks that clients can leave out."""

T = TypeVar("T")

PlainOrList = Annotated[
    Annotated[str, Tag(_PLAIN)] | Annotated[list[T], Tag(_LIST)],
    Discriminator(
        _plain_or_list,
        custom_error_type="string_or_list",
        custom_error_message="Input should be a valid string or a valid list",
    ),
]
"""`"words"` or `[block, …]`: the two ways the API writes content."""


W = TypeVar("W", bound=WireModel)


def parse(kind: type[W], body: bytes) -> W:
    """Read a body. An escaped half of a surrogate pair becomes U+FFFD. Raises `InvalidRequest` for the first problem in it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = invalid_request(error)
        if not _is_half_pair(error):
            raise first from None
    try:
        return kind.model_validate_json(_repaired(body))
    except ValidationError:
        raise first from None


_ESCAPED = rb"(?<!\\)((?:\\\\)*)\\u[dD]"
_HIGH_ALONE = re.compile(_ESCAPED + rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})")
_LOW_ALONE = re.compile(rb"(?<!\\u[dD][89abAB][0-9a-fA-F]{2})" + _ESCAPED + rb"[c-fC-F][0-9a-fA-F]{2}")


def _is_half_pair(error: ValidationError) -> bool:
    """Is the body no JSON because of an escaped half of a surrogate pair?"""
    first = error.errors(include_url=False, include_input=False)[0]
    return first["type"] == "json_invalid" and ("surrogate" in first["ctx"]["error"] or "hex escape" in first["ctx"]["error"])


def _repaired(body: bytes) -> bytes:
    """The body with U+FFFD for each escaped half of a surrogate pair: clients write them where they cut text in an emoji."""
    return _LOW_ALONE.sub(rb"\1\\ufffd", _HIGH_ALONE.sub(rb"\1\\ufffd", body))


def invalid_request(error: ValidationError) -> InvalidRequest:
    """The first problem only, as `dotted.path: reason` (ERR-9)."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f"The request body is not valid JSON: {first['ctx']['error']}")
    path = ".".join(str(step) for step in first["loc"] if not str(step).startswith("("))
    reason = first["msg"] + "".join(rejected(step) for step in first["loc"] if step in _ATTACHED)
    return InvalidRequest.at(path, reason) if path else InvalidRequest(reason)


def rejected(kind: object) -> str:
    """The token by which Claude Code goes on without the blocks of a kind, and not with the same request for ever (CC-8)."""
    return f" (capability_rejected: {kind}_block)"


_WITHOUT_FIELDS = frozenset({str, int, float, bool, type(None), dict})


def unknown_fields(model: WireModel, path: str = "") -> Iterator[str]:
    """Dotted paths of the fields that came along and were not understood, list indices left out."""
    if model.open:
        return
    for name in model.model_extra or ():
        yield f"{path}{name}"
    for name, value in model.__dict__.items():
        if type(value) not in _WITHOUT_FIELDS:
            yield from _unknown_below(value, f"{path}{name}.")


def check_known(model: WireModel) -> None:
    """Raise `InvalidRequest` for the first field that was not understood (BETA-2, strict)."""
    for name in unknown_fields(model):
        raise InvalidRequest.at(name, "Extra inputs are not permitted")


def _unknown_below(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, WireModel):
        yield from unknown_fields(value, path)
    elif isinstance(value, list):
        for item in value:
            if type(item) not in _WITHOUT_FIELDS:
                yield from _unknown_below(item, path)
