"""Server-sent events, as engines send them: lines of `field: payload`, an empty line behind each event."""


class EventSplitter:
    r"""Cuts a byte stream into events, however the bytes arrive. Sans-IO.

    Engines write JSON without line breaks, so that an event is one line and `\n\n` can only be its end.
    """

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, without the empty line; what is left waits for the next call."""
        *events, self._tail = (self._tail + data).split(b"\n\n")
        return events
