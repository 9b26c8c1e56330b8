"""The query parameters of lists."""

import base64
from collections.abc import Sequence
from typing import Protocol

from starlette.datastructures import QueryParams

from dragoman.errors import InvalidRequest
from dragoman.storage.pages import Page, Position

_DIGITS = 6
_CURSOR = "page_"
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 1000


def limit_of(query: QueryParams, default: int = _DEFAULT_LIMIT, most: int = _MAX_LIMIT) -> int:
    """Return how many items are asked for. Raises `InvalidRequest`."""
    given = query.get("limit")
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) <= _DIGITS and 1 <= int(given) <= most):
        raise InvalidRequest.at("limit", f"Input should be a valid integer between 1 and {most}")
    return int(given)


def page_of(query: QueryParams) -> Page:
    """Return the page that `limit`, `page`, `after_id` and `before_id` ask for. Raises `InvalidRequest`."""
    cursor = query.get("page")
    after = _position(cursor) if cursor else query.get("after_id")
    return Page(limit_of(query), after, query.get("before_id"))


def openai_page_of(query: QueryParams, default: int, most: int) -> Page:
    """Return the page that `limit`, `after` and `order` ask for. Raises `InvalidRequest`."""
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest.at("order", "Input should be 'asc' or 'desc'")
    return Page(limit_of(query, default, most), query.get("after"), oldest_first=order == "asc")


def cursor_of(created: float, identifier: str) -> str:
    """Return the cursor of the page after an item."""
    return _CURSOR + base64.urlsafe_b64encode(f"{created!r} {identifier}".encode()).decode()


def _position(cursor: str) -> Position:
    try:
        created, _, identifier = base64.urlsafe_b64decode(cursor.removeprefix(_CURSOR)).decode().partition(" ")
        position = Position(float(created), identifier)
    except ValueError:
        position = None
    if position is None or cursor_of(*position) != cursor:
        raise InvalidRequest.at("page", "Input should be the `next_page` of another page")
    return position


def listed_in(query: QueryParams, name: str) -> Sequence[str]:
    """Return the values of an array (TRN-15), each once."""
    return list(dict.fromkeys(query.getlist(f"{name}[]") + query.getlist(name)))


class _Listed(Protocol):
    @property
    def id(self) -> str: ...


def ends_of(items: Sequence[_Listed]) -> tuple[str | None, str | None]:
    """Return the ids of the first and the last item of a page; None if it is empty."""
    return (items[0].id, items[-1].id) if items else (None, None)
