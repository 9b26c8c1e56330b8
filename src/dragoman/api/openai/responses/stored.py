"""Items of stored responses: which ones a request needs, how it gets them, and which ones are stored of it."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from pydantic import TypeAdapter

from dragoman.api.openai.parts import TextPart
from dragoman.api.openai.responses.items import (
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputItem,
    ItemReference,
    McpCall,
    McpListTools,
    Message,
    ReasoningItem,
    WebSearchCall,
)
from dragoman.api.openai.responses.request import PromptRequest

_REFERENCE: Final = "item_reference"
_MARKS: Final = (b"previous_response_id", _REFERENCE.encode())
_ITEMS: TypeAdapter[list[Any]] = TypeAdapter(list[InputItem])
_IDS: Final[Mapping[type, str]] = {
    Message: "msg",
    FunctionCall: "fc",
    FunctionCallOutput: "fco",
    CustomToolCall: "ctc",
    CustomToolCallOutput: "ctco",
    ReasoningItem: "rs",
    WebSearchCall: "ws",
    McpCall: "mcp",
    McpListTools: "mcpl",
    Compaction: "cmp",
}
"""The beginning of the id that a stored item gets if it has none."""

P = TypeVar("P", bound=PromptRequest)


class Needs(Struct, frozen=True):
    """What a request needs of stored responses: the one that it continues, and the items that it refers to."""

    previous: str | None = None
    items: Sequence[str] = ()


class Kept(Struct, frozen=True):
    """What is stored of the items that a request needs: the JSON texts of those before its own, and of others by their ids."""

    history: Sequence[bytes] = ()
    items: Mapping[str, bytes] = {}


class StoredInput(Struct, frozen=True):
    """An item of a request as it is stored: with an id, and its content as parts."""

    id: str
    item: bytes


class _Item(Struct, frozen=True):
    type: Any = None
    id: Any = None


class _Body(Struct, frozen=True):
    previous_response_id: str | None = None
    input: list[_Item] | str | None = None


def may_need(body: bytes) -> bool:
    """Whether a body may need stored items: nearly none does."""
    return any(mark in body for mark in _MARKS)


def needs_of(body: bytes) -> Needs:
    """What a body needs. One that cannot be read needs nothing: parsing it gives the error."""
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Needs()
    items = read.input if isinstance(read.input, list) else []
    return Needs(read.previous_response_id, [item.id for item in items if item.type == _REFERENCE and isinstance(item.id, str)])


def with_kept(request: P, kept: Kept) -> P:
    """The request with what it needs. References to items that are not there stay: `rules` refuses them."""
    if not kept.history and not kept.items:
        return request
    found = dict(zip(kept.items, _parsed(list(kept.items.values())), strict=True))
    own = [found.get(item.id, item) if isinstance(item, ItemReference) else item for item in request.own_items]
    return request.continuing(_parsed(kept.history), own)


def stored_items(items: Sequence[Any]) -> Sequence[StoredInput]:
    """Items of a request, to be stored."""
    return [StoredInput(item["id"], msgspec.json.encode(item)) for item in _stored(items)]


def _parsed(items: Sequence[bytes]) -> list[Any]:
    return _ITEMS.validate_json(b"[%b]" % b",".join(items))


def _stored(items: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for item in items:
        fields = item.model_dump(exclude_unset=True, by_alias=True)
        identifier = fields.get("id")
        if not isinstance(identifier, str):
            fields["id"] = f"{_IDS[type(item)]}_{secrets.token_hex(12)}"
        fields.setdefault("status", "completed")
        yield {**fields, "type": "message", "content": _parts(item)} if isinstance(item, Message) else fields


def _parts(message: Message) -> Sequence[Any]:
    if isinstance(message.content, str):
        return [_text(message.content, message.role)]
    return [
        _text(part.text, message.role) if isinstance(part, TextPart) else part.model_dump(exclude_unset=True, by_alias=True)
        for part in message.content
    ]


def _text(text: str, role: str) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}
