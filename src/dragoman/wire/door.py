"""What a door of the house is: how parts become events there, how those travel, and what a failure looks like."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from dragoman.errors import DragomanError
from dragoman.parts import Part, Tally
from dragoman.wire.errors import ErrorBody
from dragoman.wire.events import Event, Ping, frame
from dragoman.wire.fold import fold

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Encoder(Protocol[E_co]):
    """Tells one answer. `start` first, then each part in turn; the `Ending` is the last."""

    def start(self, tally: Tally) -> Sequence[E_co]:
        """The events that open the answer."""

    def encode(self, part: Part) -> Sequence[E_co]:
        """The events that say this part."""


@dataclass(frozen=True, slots=True)
class Door(Generic[E]):
    """`frame` gives an event's bytes in a stream, `fold` the unstreamed answer that all of them make.

    `ping` is a sign of life, `end` what stands behind the last event. `fault` makes the body of an error, for the request of
    that id; in a stream it is framed by `fault_frame`.
    """

    frame: Callable[[E], bytes]
    fold: Callable[[Iterable[E]], Struct]
    fault: Callable[[DragomanError, str], Struct]
    fault_frame: Callable[[DragomanError, str], bytes]
    ping: bytes
    end: bytes = b""


MESSAGES: Door[Event] = Door(
    frame=frame,
    fold=fold,
    fault=ErrorBody.of,
    fault_frame=lambda error, request_id: frame(ErrorBody.of(error, request_id)),
    ping=frame(Ping()),
)
"""Anthropic's Messages API."""
