"""Decodes the JSON of engine replies: every malformed reply is an `EngineFailed`, and so is every reported failure."""

from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from dragoman.errors import EngineError, EngineFailed

MAX_REPLY: Final = 64 * 1024 * 1024
"""Maximum bytes of a reply, and of one event of a stream: large enough for the token ids of a full context."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors of msgspec for bytes that are not the expected JSON: other values, invalid UTF-8, values nested too deeply."""


class EngineFault(Struct):
    """The error object in an engine's reply."""

    message: str = "no reason given"


class _FaultBody(EngineFault):
    error: EngineFault | None = None


class Event(Struct, gc=False):
    """An event of a streamed reply; any of them may report a failure."""

    error: EngineFault | None = None


E = TypeVar("E", bound=Event)


class EventDecoder(Generic[E]):
    """Decodes the JSON of one type of event."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[E]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, payload: bytes, *, failure: type[EngineError] = EngineFailed) -> E:
        """The event. Raises `failure` where it reports one, `EngineFailed` for any other JSON."""
        try:
            event = self._decode(payload)
        except UNREADABLE as error:
            raise EngineFailed(f"the engine broke its protocol: {error}") from error
        if event.error is not None:
            raise failure(f"the engine failed: {event.error.message}")
        return event


def fault(body: bytes) -> str:
    """The message in an error body: `{"error": {"message": …}}`, the inner object alone, or else the body's first 200 bytes."""
    try:
        found = msgspec.json.decode(body, type=_FaultBody)
    except UNREADABLE:
        return body[:200].decode(errors="replace").strip() or EngineFault().message
    return (found.error or found).message
