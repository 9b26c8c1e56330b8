"""The base of the request models of all formats: parsing, unknown fields, and the message of a validation error."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from dragoman.api.remembered import Items, NotRemembered, split
from dragoman.conversation.once import once
from dragoman.errors import InvalidRequest

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # pydantic has no public name for it


class _WireType(ModelMetaclass):
    """The type of request types: `isinstance` is ten times as fast as pydantic's where it fails, and no class is virtual."""

    __instancecheck__ = type.__instancecheck__


class WireModel(BaseModel, metaclass=_WireType):
    """Part of a request. Types are strict (`"5"` is not an integer); unknown fields are kept and not refused (BETA-2).

    `open`: the model takes any field, and no field counts as unknown. `lists` are the fields of a request whose items are
    remembered.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    open: ClassVar[bool] = False
    lists: ClassVar[Mapping[str, Items]] = {}


_PLAIN, _LIST = "(plain)", "(list)"  # in parentheses: `invalid_request` leaves such steps out of paths


def _plain_or_list(value: object) -> str | None:
    if isinstance(value, str):
        return _PLAIN
    return _LIST if isinstance(value, list | tuple) else None


_ATTACHED = ("image", "document")
"""Types of blocks that clients can resend without."""

T = TypeVar("T")

PlainOrList = Annotated[
    Annotated[str, Tag(_PLAIN)] | Annotated[list[T], Tag(_LIST)],
    Discriminator(
        _plain_or_list,
        custom_error_type="string_or_list",
        custom_error_message="Input should be a valid string or a valid list",
    ),
]
"""`"text"` or `[block, …]`: the two forms of content in the API."""


W = TypeVar("W", bound=WireModel)


def parse(kind: type[W], body: bytes) -> W:
    """Parse a body. Escaped lone surrogates become U+FFFD. Raises `InvalidRequest` for the first problem."""
    if kind.lists:
        with suppress(NotRemembered, ValidationError):  # the whole body is validated below, for the first problem in it
            rest, items = split(body, kind.lists)
            return kind.model_validate_json(rest).model_copy(update=items)
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = invalid_request(error)
        if not _has_lone_surrogate(error):
            raise first from None
    try:
        return kind.model_validate_json(_repaired(body))
    except ValidationError:
        raise first from None


_ESCAPED = rb"(?<!\\)((?:\\\\)*)\\u[dD]"
_HIGH_ALONE = re.compile(_ESCAPED + rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})")
_LOW_ALONE = re.compile(rb"(?<!\\u[dD][89abAB][0-9a-fA-F]{2})" + _ESCAPED + rb"[c-fC-F][0-9a-fA-F]{2}")


def _has_lone_surrogate(error: ValidationError) -> bool:
    """Whether the body is not valid JSON because of an escaped lone surrogate."""
    first = error.errors(include_url=False, include_input=False)[0]
    return first["type"] == "json_invalid" and ("surrogate" in first["ctx"]["error"] or "hex escape" in first["ctx"]["error"])


def _repaired(body: bytes) -> bytes:
    """The body with U+FFFD for each escaped lone surrogate: clients write them when they cut text inside an emoji."""
    return _LOW_ALONE.sub(rb"\1\\ufffd", _HIGH_ALONE.sub(rb"\1\\ufffd", body))


def invalid_request(error: ValidationError) -> InvalidRequest:
    """The error for the first problem, as `dotted.path: reason` (ERR-9)."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidRequest(f"The request body is not valid JSON: {first['ctx']['error']}")
    path = ".".join(str(step) for step in first["loc"] if not str(step).startswith("("))
    reason = first["msg"] + "".join(capability_rejected(step) for step in first["loc"] if step in _ATTACHED)
    return InvalidRequest.at(path, reason) if path else InvalidRequest(reason)


def capability_rejected(kind: object) -> str:
    """The token that makes Claude Code resend without blocks of a type, instead of repeating the same request (CC-8)."""
    return f" (capability_rejected: {kind}_block)"


_WITHOUT_FIELDS = frozenset({str, int, float, bool, type(None), dict})


def unknown_fields(model: WireModel, path: str = "") -> Iterator[str]:
    """Dotted paths of the unknown fields, list indices left out."""
    if model.open:
        return
    for name in model.model_extra or ():
        yield f"{path}{name}"
    for name, value in model.__dict__.items():
        if name in model.lists and isinstance(value, list):
            yield from (f"{path}{name}.{unknown}" for item in value for unknown in _unknown_in_item(item))
        elif type(value) not in _WITHOUT_FIELDS:
            yield from _unknown_below(value, f"{path}{name}.")


def check_known(model: WireModel) -> None:
    """Raise `InvalidRequest` for the first unknown field (BETA-2, strict)."""
    for name in unknown_fields(model):
        raise InvalidRequest.at(name, "Extra inputs are not permitted")


@once
def _unknown_in_item(item: WireModel) -> Sequence[str]:
    return tuple(_unknown_below(item, ""))


def _unknown_below(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, WireModel):
        yield from unknown_fields(value, path)
    elif isinstance(value, list):
        for item in value:
            if type(item) not in _WITHOUT_FIELDS:
                yield from _unknown_below(item, path)
