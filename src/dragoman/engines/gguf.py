"""As much of the GGUF format as must be known before llama.cpp is asked to load a file: its header of keys and values.

Little-endian: the magic, a version, two 64-bit counts (tensors, pairs), then the pairs: a key, the number of a type, a value.
Strings are a 64-bit length and UTF-8; an array is the type of its elements, their 64-bit number, and they.
"""

import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"

_UINT32, _STRING, _ARRAY, _UINT64 = 4, 8, 9, 10
_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_LONGEST_KEY = 65_535


def trained_window(path: Path) -> int | None:
    """The window that the model was trained for, in tokens; None where the file does not say, or is no whole GGUF header.

    Whatever is wrong with the file is llama.cpp's to tell.
    """
    try:
        with path.open("rb") as file:
            return _context_length(file)
    except (OSError, ValueError, KeyError, OverflowError, struct.error):
        return None


def _context_length(file: BinaryIO) -> int | None:
    if file.read(4) != MAGIC:
        return None
    _version, _tensors, pairs = struct.unpack("<IQQ", file.read(20))
    for _ in range(pairs):
        key = _string(file)
        kind = _scalar(file, _UINT32)
        if key.endswith(b".context_length"):
            return int(_scalar(file, kind))
        _skip(file, kind)
    return None


def _scalar(file: BinaryIO, kind: int) -> int:
    form = _FORMATS[kind]
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(value)


def _string(file: BinaryIO) -> bytes:
    length = _scalar(file, _UINT64)
    if length > _LONGEST_KEY:
        raise ValueError(length)
    return file.read(length)


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        file.seek(_scalar(file, _UINT64), 1)
    elif kind == _ARRAY:
        element, count = _scalar(file, _UINT32), _scalar(file, _UINT64)
        if element == _STRING:
            for _ in range(count):
                _skip(file, element)
        else:
            file.seek(count * struct.calcsize(_FORMATS[element]), 1)
    else:
        file.seek(struct.calcsize(_FORMATS[kind]), 1)
