"""Remembers the items of the lists in requests: a conversation that grows is sent again and again.

An item is known by its JSON text. So only the items of a request that are new are validated; a known item is the same object
again, on which later steps keep what they compute of it.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter

from dragoman.kept import Kept

_REMEMBERED: Final = 32_000_000
"""Bytes of all items that are remembered."""
_MOST_ITEMS: Final = 20_000
"""The items of a longer list are not remembered."""

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
"""A string in JSON."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class NotRemembered(Exception):
    """A body is not an object with such lists, or they are too long."""


class Items:
    """Reads the items of one type. `stand_in` is the JSON of any item, for a list that must not be empty."""

    def __init__(self, kind: Any, stand_in: bytes = b"") -> None:
        self._read = TypeAdapter(kind).validate_json
        self.stand_in = [msgspec.Raw(stand_in)] if stand_in else []

    def read(self, item: bytes) -> Any:
        """The value of an item. Raises pydantic's `ValidationError`."""
        value = _KEPT.get((self, item))
        if value is None:
            value = self._read(item)
            _KEPT.put((self, item), value, _memory(item))
        return value


def _memory(item: bytes) -> int:
    """The bytes that an item takes, with its JSON and what is computed of it, rather too many than too few."""
    structure = _STRING.sub(b"", item)  # a text may have many brackets
    return 2_000 + 2 * len(item) + 300 * (structure.count(b"{") + structure.count(b"[")) + 50 * structure.count(b",")


_KEPT: Final[Kept[tuple[Items, bytes], Any]] = Kept(_REMEMBERED)


def split(body: bytes, lists: Mapping[str, Items]) -> tuple[bytes, dict[str, list[Any]]]:
    """The body with a stand-in for the items of each list that is not empty, and the values of these items.

    Raises `NotRemembered`, and pydantic's `ValidationError` for an item.
    """
    try:
        fields: dict[str, Any] = _decode_fields(body)
        raw = {name: _decode_items(fields[name]) for name in lists if name in fields}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotRemembered from error
    if any(len(items) > _MOST_ITEMS for items in raw.values()):
        raise NotRemembered
    values = {name: [lists[name].read(bytes(item)) for item in items] for name, items in raw.items()}
    rest = {name: lists[name].stand_in if items else [] for name, items in raw.items()}
    return msgspec.json.encode({**fields, **rest}), values
