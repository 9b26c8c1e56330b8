"""Special-token escaping: a special token that a client spells in its text is tokenized as plain text.

A sentinel is put into such spellings before the dialect and the template see them. The tokenizer step (`tokens`) removes the
sentinel and tokenizes the spelling as plain text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from hashlib import blake2b
from itertools import chain
from typing import Any

import msgspec

from dragoman.conversation import Dialogue
from dragoman.special_tokens import SHAPES

_NONCHARACTERS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
"""Unicode noncharacters, which are reserved for internal use and do not occur in normal text."""
_FIRST_CHOICES = _NONCHARACTERS[:4]


def escape_special_tokens(dialogue: Dialogue, spelled: Sequence[str]) -> tuple[Dialogue, str]:
    """The dialogue with a sentinel in every spelling of a special token, and the sentinel; "" if there are no spellings."""
    if not spelled:
        return dialogue, ""
    sentinel = _sentinel_for(msgspec.json.encode(dialogue))
    covered: Dialogue = _Breaker(spelled, sentinel).cover(dialogue)
    return covered, sentinel


def _sentinel_for(encoded: bytes) -> str:
    """A short sentinel that does not occur in the text: one noncharacter, or eight derived from a digest of the text."""
    derived = (_derived(encoded, number) for number in range(1 << 16))
    return next(sentinel for sentinel in chain(_FIRST_CHOICES, derived) if sentinel.encode() not in encoded)


def _derived(encoded: bytes, number: int) -> str:
    """Eight noncharacters derived from the digest of the text, so that no text can be made to contain its own sentinel."""
    digest = blake2b(encoded, digest_size=8, salt=number.to_bytes(16)).digest()
    return "".join(_NONCHARACTERS[byte % len(_NONCHARACTERS)] for byte in digest)


class _Breaker:
    """Puts the sentinel into every spelling, in one pass per shape of special tokens."""

    def __init__(self, spelled: Sequence[str], sentinel: str) -> None:
        broken = {spelling: spelling[0] + sentinel + spelling[1:] for spelling in spelled}
        shaped = {spelling for spelling in spelled if any(shape.fullmatch(spelling) for shape in SHAPES)}
        self._shaped: Mapping[str, str] = {spelling: broken[spelling] for spelling in shaped}
        self._others = {
            spelling: broken[spelling] for spelling in broken if spelling not in shaped
        }  # the few names that the template is given

    def cover(self, value: Any) -> Any:
        """A copy of the value with all spellings in its texts escaped."""
        match value:
            case Enum():
                return value
            case str():
                return self._break(value)
            case dict():
                return {self.cover(key): self.cover(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.cover(inner) for inner in value]
            case _ if is_dataclass(value) and not isinstance(value, type):
                return replace(value, **{field.name: self.cover(getattr(value, field.name)) for field in fields(value)})
            case _:
                return value

    def _break(self, text: str) -> str:
        for shape in SHAPES:
            text = shape.sub(lambda found: self._shaped.get(found[0], found[0]), text)
        for spelling, broken in self._others.items():
            text = text.replace(spelling, broken)
        return text
