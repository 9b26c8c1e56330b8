"""Parsers of server-sent events from engines: lines of `field: payload`, an empty line after each event."""

from typing import Final

from dragoman.engines.reply import MAX_REPLY, fault
from dragoman.errors import EngineFailed

DONE: Final = b"[DONE]"
"""The payload of the last event of many streams."""


class EventSplitter:
    r"""Splits a byte stream into events, however the bytes are split. Sans-IO.

    Engines write JSON without line breaks, so that an event is one line and `\n\n` is always its end.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, without the empty line; the rest is kept for the next call.

        Raises `EngineFailed` at an event longer than `MAX_REPLY`.
        """
        if self._tail:
            seen = len(self._tail) - 1
            self._tail += data
            if self._tail.find(b"\n\n", seen) < 0:
                if len(self._tail) > MAX_REPLY:
                    raise EngineFailed("the engine broke its protocol: an event is too large")
                return []
            data = bytes(self._tail)
            self._tail.clear()
        events = data.split(b"\n\n")
        if tail := events.pop():
            self._tail += tail
        return events


def data_of(event: bytes) -> bytes | None:
    """Return the payload of a `data: …` event; None for a comment, which keeps the connection alive.

    `error: …` is how older versions of llama-server report a failure. Raises `EngineFailed` for it, and for anything else.
    """
    if event.startswith(b"data: "):
        return event[6:]
    if event.startswith(b"error:"):
        raise EngineFailed(f"the engine failed: {fault(event[6:])}")
    if event and not event.startswith(b":"):
        raise EngineFailed(f"the engine broke its protocol: {event[:80]!r} is not an event")
    return None
