"""The bytes of single tokens, by the vocabulary of a tokenizer file.

Vocabularies spell tokens in three ways: byte by byte with a letter for each (`ByteLevel`), as text with `▁` for a space and
`<0x0A>` for bytes that are not text, or as plain text. Added tokens, special ones among them, are always plain text.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE: Final = "\N{LOWER ONE EIGHTH BLOCK}"
_PRINTED: Final = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""The bytes whose letter is the character with the same number; the others have letters from U+0100 on, in their order."""


class TokenBytes:
    """Gives the bytes of the tokens of a tokenizer file, `source`."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._added = frozenset(token["content"] for token in source.get("added_tokens") or ())
        self._is_byte_level = "ByteLevel" in _types(source.get("decoder"))

    def of(self, spelled: str) -> bytes:
        """The bytes of a token that the vocabulary spells so."""
        if spelled in self._added:
            return spelled.encode()
        if self._is_byte_level:
            letters = _letters()
            return b"".join(bytes([letters[char]]) if char in letters else char.encode() for char in spelled)
        byte = _BYTE.fullmatch(spelled)
        return bytes([int(byte[1], 16)]) if byte else spelled.replace(_SPACE, " ").encode()


@cache
def _letters() -> dict[str, int]:
    """The byte of each letter of byte-level vocabularies."""
    others = (byte for byte in range(0x100) if byte not in _PRINTED)
    return {chr(byte): byte for byte in _PRINTED} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def _types(decoder: Any) -> Iterator[str]:
    """The types of a decoder and of those in it."""
    if isinstance(decoder, dict):
        yield str(decoder.get("type"))
        for inner in decoder.get("decoders") or ():
            yield from _types(inner)
