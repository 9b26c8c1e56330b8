"""The interface of an API format: encoding parts as events, framing and folding events, error bodies."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from dragoman.errors import DragomanError
from dragoman.parts import Part, PromptTokens, TokenCounts

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Encoder(Protocol[E_co]):
    """Encodes one answer: `start` first, then each part in order; the `Ending` is the last."""

    def start(self, counts: TokenCounts, prompt: PromptTokens | None = None) -> Sequence[E_co]:
        """The events that begin the answer; `prompt` if the request asks for the tokens of its prompt."""

    def encode(self, part: Part) -> Sequence[E_co]:
        """The events of this part."""

    def ping(self) -> Sequence[E_co]:
        """The events that keep a silent stream alive."""

    def fail(self, error: DragomanError, request_id: str) -> Sequence[E_co]:
        """The events that end the stream after a failure."""


@dataclass(frozen=True, slots=True)
class ApiFormat(Generic[E]):
    """An API format.

    `frame` gives the bytes of an event in a stream, `fold` makes the non-streamed answer from all events. `end` is sent after
    the last event. `error_body` makes the body of an error, given the request id. `ping` and `error_frame` are for a stream
    whose answer has not begun: a sign of life, and the error that ends it. `ping` also follows the first events.
    """

    frame: Callable[[E], bytes]
    fold: Callable[[Iterable[E]], Struct]
    error_body: Callable[[DragomanError, str], Struct]
    error_frame: Callable[[DragomanError, str], bytes]
    ping: bytes
    end: bytes = b""
