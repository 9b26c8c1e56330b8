"""Values that clients keep between requests and cannot read, signed like reasoning, so that damage is noticed."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from dragoman.conversation.signature import recover, sign

S = TypeVar("S", bound=Struct)


def sealed(value: Struct) -> str:
    """The signature that contains a value."""
    return sign(msgspec.json.encode(value).decode(), shown=False)


def unsealed(signature: str, kind: type[S]) -> S | None:
    """The value in a signature of this server; None if it is damaged, or not ours."""
    try:
        return msgspec.json.decode(recover(signature) or "", type=kind)
    except msgspec.DecodeError:
        return None
