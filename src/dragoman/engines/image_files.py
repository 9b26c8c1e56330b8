"""The sizes of image files, and blank ones: how many tokens an image has depends on its size, not on its contents."""

import struct
import zlib
from base64 import b64encode

from dragoman.conversation import Image


def dimensions(data: bytes) -> tuple[int, int] | None:
    """The width and height in pixels of a PNG or JPEG file; None of any other."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:  # segments: a marker, a length, contents
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # the frame; the others are tables
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + length
    return None


def blank_png(width: int, height: int) -> bytes:
    """A black PNG file, one bit per pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def data_url(image: Image) -> str:
    """The image as a `data:` URL."""
    return f"data:{image.media_type};base64,{b64encode(image.data).decode()}"
