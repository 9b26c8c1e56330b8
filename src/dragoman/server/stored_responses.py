"""`GET` and `DELETE /v1/responses/{id}`, `POST …/cancel` and `GET …/input_items`."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from dragoman.api.openai.responses.response import Response
from dragoman.errors import InvalidRequest, UnknownResponse
from dragoman.observability import Record
from dragoman.storage.responses import ResponseStore, StoredItem

_PAGE: Final = 20
_LARGEST_PAGE: Final = 100
_TRUE: Final = ("true", "1")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Response).decode


class Deleted(Struct, frozen=True, tag_field="object", tag="response"):
    """The response to a deletion."""

    id: str
    deleted: bool = True


class ItemList(Struct, frozen=True, tag_field="object", tag="list"):
    """A page of items."""

    data: Sequence[Raw]
    first_id: str
    last_id: str
    has_more: bool


class StoredResponses:
    """The handlers of the paths of one response."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def retrieve(self, request: Request) -> HttpResponse:
        """Answer with a response. Raises `UnknownResponse`, `InvalidRequest`."""
        if request.query_params.get("stream", "").lower() in _TRUE:
            raise InvalidRequest.at("stream", "stored responses are not streamed by this server")
        identifier = _id(request)
        found = await self._store.find(identifier, _owner(request))
        if found is None:
            raise _unknown(identifier)
        return _json(replace(_decode(found.body), output=[Raw(item.item) for item in found.output]))

    async def delete(self, request: Request) -> HttpResponse:
        """Remove a response. Raises `UnknownResponse`."""
        identifier = _id(request)
        if not await self._store.delete(identifier, _owner(request)):
            raise _unknown(identifier)
        return _json(Deleted(identifier))

    async def cancel(self, request: Request) -> HttpResponse:
        """Refuse to cancel a response: only one in the background could be. Raises `UnknownResponse`, `InvalidRequest`."""
        identifier = _id(request)
        if await self._store.find(identifier, _owner(request)) is None:
            raise _unknown(identifier)
        raise InvalidRequest(f"the response {identifier} is complete: only responses in the background can be cancelled")

    async def input_items(self, request: Request) -> HttpResponse:
        """Answer with a page of the items from which a response was generated. Raises `UnknownResponse`, `InvalidRequest`."""
        identifier = _id(request)
        items = await self._store.history(identifier, _owner(request), output=False)
        if items is None:
            raise _unknown(identifier)
        return _json(_page(items, request))


def _page(items: Sequence[StoredItem], request: Request) -> ItemList:
    """The page that a request asks for. Raises `InvalidRequest`."""
    query = request.query_params
    order, limit = query.get("order", "desc"), query.get("limit", str(_PAGE))
    if order not in ("asc", "desc"):
        raise InvalidRequest.at("order", "Input should be 'asc' or 'desc'")
    if not limit.isdecimal() or not 1 <= int(limit[:4]) <= _LARGEST_PAGE or len(limit) > len(str(_LARGEST_PAGE)):
        raise InvalidRequest.at("limit", f"Input should be an integer from 1 to {_LARGEST_PAGE}")
    ordered = list(items) if order == "asc" else list(items)[::-1]
    if after := query.get("after"):
        places = [place for place, item in enumerate(ordered) if item.id == after]
        if not places:
            raise InvalidRequest.at("after", f"there is no item {after[:80]}")
        ordered = ordered[places[0] + 1 :]
    page = ordered[: int(limit)]
    ids = [item.id for item in page] or [""]
    return ItemList([Raw(item.item) for item in page], ids[0], ids[-1], len(ordered) > len(page))


def _id(request: Request) -> str:
    return str(request.path_params["response"])


def _owner(request: Request) -> str:
    record: Record = request.state.record
    return record.key


def _unknown(identifier: str) -> UnknownResponse:
    return UnknownResponse(f"there is no stored response {identifier[:80]}")


def _json(value: object) -> HttpResponse:
    return HttpResponse(_encode(value), media_type="application/json")
