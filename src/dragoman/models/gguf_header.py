"""Reads the metadata in the header of a GGUF file, before llama.cpp loads it.

Little-endian: the magic, a version, two 64-bit counts (tensors, pairs), then the pairs: a key, the number of a type, a value.
Strings are a 64-bit length and UTF-8; an array is the type of its elements, their 64-bit number, and the elements.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

HEADER = struct.Struct("<4sIQQ")
"""Magic, version, number of tensors, number of metadata entries."""
MAGIC = b"GGUF"
VERSIONS = (2, 3)

_UINT32, _STRING, _ARRAY, _UINT64 = 4, 8, 9, 10
_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_LONGEST_KEY = 65_535
_LONGEST_TEXT = 1 << 24
_BROKEN = (OSError, ValueError, KeyError, OverflowError, struct.error)
_SPECIAL_TYPES = (3, 4)
"""The types of tokens that the tokenizer never splits: control tokens and user-defined ones."""


def trained_window(path: Path) -> int | None:
    """The context length that the model was trained for, in tokens; None where the file has none, or no complete GGUF header.

    Errors in the file are reported by llama.cpp when it loads it.
    """
    try:
        with path.open("rb") as file:
            return next((int(value) for _, value in _pairs(file, lambda key: key.endswith(".context_length"))), None)
    except _BROKEN:
        return None


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The tokenizer's metadata in a file: the chat template, None where it has none, and the spellings of special tokens."""

    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    special_tokens: frozenset[str] = frozenset()


def tokenizer(path: Path) -> Tokenizer:
    """The tokenizer's metadata of a file; empty where its header is not complete."""
    found = metadata(path, lambda key: key.startswith("tokenizer."))
    tokens: list[str] = found.get("tokenizer.ggml.tokens", [])
    kinds: list[int] = found.get("tokenizer.ggml.token_type", [])
    spellings = dict(enumerate(tokens))
    return Tokenizer(
        chat_template=found.get("tokenizer.chat_template"),
        bos_token=spellings.get(found.get("tokenizer.ggml.bos_token_id", -1), ""),
        eos_token=spellings.get(found.get("tokenizer.ggml.eos_token_id", -1), ""),
        special_tokens=frozenset(token for token, kind in zip(tokens, kinds, strict=False) if kind in _SPECIAL_TYPES),
    )


def metadata(path: Path, wanted: Callable[[str], bool]) -> dict[str, Any]:
    """The wanted metadata by their keys; empty where the header is not complete."""
    try:
        with path.open("rb") as file:
            return dict(_pairs(file, wanted))
    except _BROKEN:
        return {}


def _pairs(file: BinaryIO, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
    """The pairs whose keys are wanted, in order. Raises one of `_BROKEN` where the header is not complete."""
    magic, _version, _tensors, pairs = HEADER.unpack(file.read(HEADER.size))
    if magic != MAGIC:
        return
    for _ in range(pairs):
        key = _string(file, _LONGEST_KEY)
        kind = _scalar(file, _UINT32)
        if wanted(key):
            yield key, _value(file, kind)
        else:
            _skip(file, kind)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file, _LONGEST_TEXT)
    if kind == _ARRAY:
        element, count = _scalar(file, _UINT32), _scalar(file, _UINT64)
        return [_value(file, element) for _ in range(count)]
    return _scalar(file, kind)


def _scalar(file: BinaryIO, kind: int) -> int:
    form = _FORMATS[kind]
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(value)


def _string(file: BinaryIO, longest: int) -> str:
    length = _scalar(file, _UINT64)
    if length > longest:
        raise ValueError(length)
    text = file.read(length)
    if len(text) < length:
        raise ValueError(length)
    return text.decode(errors="replace")


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        file.seek(_scalar(file, _UINT64), 1)
    elif kind == _ARRAY:
        element, count = _scalar(file, _UINT32), _scalar(file, _UINT64)
        if element == _STRING:
            _skip_strings(file, count)
        else:
            file.seek(count * struct.calcsize(_FORMATS[element]), 1)
    else:
        file.seek(struct.calcsize(_FORMATS[kind]), 1)


def _skip_strings(file: BinaryIO, count: int) -> None:
    """Skip strings; a vocabulary has some hundred thousand, so the loop is short. Raises `ValueError` for absurd lengths."""
    read, length_of = file.read, struct.Struct(_FORMATS[_UINT64]).unpack
    for _ in range(count):
        (length,) = length_of(read(8))
        if length > _LONGEST_TEXT:
            raise ValueError(length)
        read(length)
