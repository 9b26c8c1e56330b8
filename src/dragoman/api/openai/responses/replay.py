"""The events of a response as they are stored, and streamed again: the same events, with the same numbers."""

import zlib
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from dragoman.api.openai.responses.events import Event, framed

_END: Final = b"\n"  # JSON text without spaces has none
_encode = msgspec.json.Encoder().encode


class _Sent(Struct, frozen=True):
    type: str
    sequence_number: int


_decode = msgspec.json.Decoder(_Sent).decode


def packed(events: Iterable[Event]) -> bytes:
    """The events, compressed. Each is encoded for itself, so that another thread never waits long for this one."""
    press = zlib.compressobj()
    pieces = [press.compress(_encode(event) + _END) for event in events]
    return b"".join([*pieces, press.flush()])


def replayed(stored: bytes, after: int) -> bytes:
    """The server-sent events of packed events whose numbers are greater than `after`."""
    lines = zlib.decompress(stored).split(_END)[:-1]
    sent = ((_decode(line), line) for line in lines)
    return b"".join(framed(event.type, line) for event, line in sent if event.sequence_number > after)
