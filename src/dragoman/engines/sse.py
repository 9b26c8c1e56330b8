"""Server-sent events, as engines send them: lines of `field: payload`, an empty line behind each event."""

from collections.abc import Iterator

from dragoman.engines.reply import MAX_REPLY
from dragoman.errors import EngineFailed


class EventSplitter:
    r"""Cuts a byte stream into events, however the bytes arrive. Sans-IO.

    Engines write JSON without line breaks, so that an event is one line and `\n\n` can only be its end.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, without the empty line; what is left waits for the next call.

        Raises `EngineFailed` at an event that is longer than any answer may be.
        """
        if self._tail:
            seen = len(self._tail) - 1
            self._tail += data
            if self._tail.find(b"\n\n", seen) < 0:
                if len(self._tail) > MAX_REPLY:
                    raise EngineFailed("the engine broke its protocol: an event has no end")
                return []
            data = bytes(self._tail)
        *events, tail = data.split(b"\n\n")
        self._tail = bytearray(tail)
        return events


class DataEvents:
    """The payloads of a stream of `data: …` events that ends with `data: [DONE]`, however the bytes arrive. Sans-IO."""

    __slots__ = ("_events", "done")

    def __init__(self) -> None:
        self.done = False
        self._events = EventSplitter()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes, comments left out. Raises `EngineFailed` at what is no event."""
        for event in self._events.feed(data):
            if event == b"data: [DONE]":
                self.done = True
                return
            if event.startswith(b"data: "):
                yield event[6:]
            elif event and not event.startswith(b":"):
                raise EngineFailed(f"the engine broke its protocol: {event[:80]!r} is no event")
