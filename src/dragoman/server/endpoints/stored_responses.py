"""`GET` and `DELETE /v1/responses/{id}`, `POST …/cancel` and `GET …/input_items`."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from dragoman.api.openai.responses.replay import replayed
from dragoman.api.openai.responses.response import Response
from dragoman.errors import InvalidRequest, UnknownResponse
from dragoman.server.access.auth import owner_of
from dragoman.server.transport.respond import STREAM_HEADERS, json_response
from dragoman.storage.responses import ResponseStore, StoredItem

_PATH: Final = "/v1/responses/{response}"
_PAGE: Final = 20
_LARGEST_PAGE: Final = 100
_TRUE: Final = ("true", "1")
_DIGITS: Final = 9
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

    @property
    def routes(self) -> Sequence[Route]:
        """The routes."""
        return [
            Route(_PATH, self.retrieve, methods=["GET"]),
            Route(_PATH, self.delete, methods=["DELETE"]),
            Route(f"{_PATH}/cancel", self.cancel, methods=["POST"]),
            Route(f"{_PATH}/input_items", self.input_items, methods=["GET"]),
        ]

    async def retrieve(self, request: Request) -> HttpResponse:
        """Answer with a response, or its events. Raises `UnknownResponse`, `InvalidRequest`."""
        if request.query_params.get("stream", "").lower() in _TRUE:
            return await self._replay(request)
        identifier = _id(request)
        found = await self._store.find(identifier, owner_of(request))
        if found is None:
            raise _unknown(identifier)
        return json_response(replace(_decode(found.body), output=[Raw(item.item) for item in found.output]))

    async def _replay(self, request: Request) -> HttpResponse:
        """Answer with the events of a response, or with those after the number `starting_after`."""
        after, identifier = _starting_after(request), _id(request)
        stored = await self._store.events(identifier, owner_of(request))
        if stored is None:
            raise _unknown(identifier)
        return HttpResponse(await asyncio.to_thread(replayed, stored, after), headers=STREAM_HEADERS)

    async def delete(self, request: Request) -> HttpResponse:
        """Remove a response. Raises `UnknownResponse`."""
        identifier = _id(request)
        if not await self._store.delete(identifier, owner_of(request)):
            raise _unknown(identifier)
        return json_response(Deleted(identifier))

    async def cancel(self, request: Request) -> HttpResponse:
        """Refuse to cancel a response: only one in the background could be. Raises `UnknownResponse`, `InvalidRequest`."""
        identifier = _id(request)
        if await self._store.find(identifier, owner_of(request)) is None:
            raise _unknown(identifier)
        raise InvalidRequest(f"the response {identifier} is complete: only responses in the background can be cancelled")

    async def input_items(self, request: Request) -> HttpResponse:
        """Answer with a page of the items from which a response was generated. Raises `UnknownResponse`, `InvalidRequest`."""
        identifier = _id(request)
        items = await self._store.history(identifier, owner_of(request), output=False)
        if items is None:
            raise _unknown(identifier)
        return json_response(_page(items, request))


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


def _starting_after(request: Request) -> int:
    """The number of the last event that the client has; -1 for none. Raises `InvalidRequest`."""
    given = request.query_params.get("starting_after")
    if given is None:
        return -1
    if not (given.isascii() and given.isdecimal() and len(given) <= _DIGITS):
        raise InvalidRequest.at("starting_after", "Input should be the number of an event")
    return int(given)


def _id(request: Request) -> str:
    return str(request.path_params["response"])


def _unknown(identifier: str) -> UnknownResponse:
    return UnknownResponse(f"there is no stored response {identifier[:80]}")
