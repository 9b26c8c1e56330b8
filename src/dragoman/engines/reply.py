"""Decodes the JSON of engine replies: every malformed reply is an `EngineFailed`."""

from typing import Final, Generic, TypeVar

import msgspec

from dragoman.errors import EngineFailed

T = TypeVar("T")

MAX_REPLY: Final = 64 * 1024 * 1024
"""Maximum bytes of a reply, and of one event of a stream: large enough for the token ids of a full context."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors of msgspec for bytes that are not the expected JSON: other values, invalid UTF-8, values nested too deeply."""


class ReplyDecoder(Generic[T]):
    """Decodes the JSON of one type of event."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, payload: bytes) -> T:
        """The event. Raises `EngineFailed` for any other JSON."""
        try:
            return self._decode(payload)
        except UNREADABLE as error:
            raise EngineFailed(f"the engine broke its protocol: {error}") from error
