"""What an engine answers, decoded: every way in which an answer can be wrong is an `EngineFailed`."""

from typing import Final, Generic, TypeVar

import msgspec

from dragoman.errors import EngineFailed

T = TypeVar("T")

MAX_REPLY: Final = 64 * 1024 * 1024
"""Bytes of the largest answer, and of the largest event of a stream: the token ids of a full window fit in."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises at bytes that are not the JSON it expects: other values, broken UTF-8, values nested too deep."""


class ReplyDecoder(Generic[T]):
    """Decodes the JSON of one type of event. Calling it raises `EngineFailed` at anything else."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, payload: bytes) -> T:
        """The event. Raises `EngineFailed`."""
        try:
            return self._decode(payload)
        except UNREADABLE as error:
            raise EngineFailed(f"the engine broke its protocol: {error}") from error
