"""The order in which the requests of a batch are worked off: those that share a beginning follow each other.

Engines keep the prompts that they computed. Requests with the same tools, system text and first messages are computed once
from that beginning, if no others come between them.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

_BLOCK: Final = 1024
"""Bytes of a beginning that are compared at once."""
_DIGEST: Final = 8
_WORTH_WHILE: Final = 3 * _DIGEST
"""The length of the digests of a beginning that is worth being computed once only: two blocks and a part."""


class _Beginning(msgspec.Struct, frozen=True):
    """The fields of a request in all API formats from which its prompt is made, in the order of the prompt."""

    model: Raw = Raw()
    tools: Raw = Raw()
    system: Raw = Raw()
    instructions: Raw = Raw()
    messages: Raw = Raw()
    input: Raw = Raw()
    prompt: Raw = Raw()


_decode = msgspec.json.Decoder(_Beginning).decode


class Position(NamedTuple):
    """The place of a request in the order of work, and the section of that order; those of section 0 share little."""

    place: int
    section: int


def work_order(bodies: Iterable[Raw]) -> Sequence[Position]:
    """The positions of the requests: a section has those that share half of their beginnings or more with the one before."""
    keys = [_key(body) for body in bodies]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    positions = [Position(0, 0)] * len(keys)
    section = 0
    for place, number in enumerate(order):
        key, before = keys[number], keys[order[place - 1]] if place else b""
        if 2 * _shared(before, key) < len(key):
            section += 1
        positions[number] = Position(place, section if len(key) >= _WORTH_WHILE else 0)
    return positions


def _shared(one: bytes, other: bytes) -> int:
    """The length of the digests that two keys begin with."""
    length = min(len(one), len(other))
    return next(
        (start for start in range(0, length, _DIGEST) if one[start : start + _DIGEST] != other[start : start + _DIGEST]), length
    )


def _key(body: Raw) -> bytes:
    """The digests of the blocks of a beginning: equal beginnings have equal ones, in a hundredth of the memory."""
    try:
        beginning = _decode(body)
    except msgspec.DecodeError:
        return b""
    text = b"\0".join(bytes(getattr(beginning, name)) for name in _Beginning.__struct_fields__)
    blocks = (text[start : start + _BLOCK] for start in range(0, len(text), _BLOCK))
    return b"".join(blake2b(block, digest_size=_DIGEST).digest() for block in blocks)
