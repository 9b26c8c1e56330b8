"""Makes broken and hostile images: damaged ones of every format, decompression bombs, huge dimensions, files of other types."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

from PIL import Image

from media.pictures import encoded, half

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM", "PCX", "QOI", "SGI")
_LARGE_NUMBERS = tuple(struct.pack(form, number) for form in ("<H", ">H", "<I", ">I") for number in (0, 0x7FFF, 0xFFFF))

OTHER_TYPES = (
    b"",
    b"hello",
    b"\0" * 1000,
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nloop\n",
    b"%PDF-1.7\n",
    b"PK\x03\x04" + b"\0" * 100,
    b"\x7fELF" + b"\0" * 100,
    b"RIFF\xff\xff\xff\xffWEBPVP8X",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
)


@cache
def _whole() -> tuple[bytes, ...]:
    """Files of every format, with and without what readers parse besides pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "x" * 100
    frames = [half().rotate(90 * turn) for turn in range(3)]
    return (
        *(encoded(half(size=(64, 64)), kind) for kind in KINDS),
        *(encoded(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "WEBP", "PNG", "TIFF")),
        *(encoded(half(), kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        *(encoded(half(), "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "tiff_deflate")),
        *(encoded(half(), "JPEG", progressive=True), encoded(half("CMYK"), "JPEG"), encoded(half("P")), encoded(half("1"))),
    )


def _cut(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data) + 1)]


def _without_a_part(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data) + 1)
    return data[:start] + data[start + choose.randrange(1, 50) :]


def _with_other_bytes(data: bytes, choose: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(choose.randrange(1, 20)):
        if damaged:
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
    return bytes(damaged)


def _with_a_large_number(data: bytes, choose: random.Random) -> bytes:
    """In the header, where dimensions and lengths are."""
    number, start = choose.choice(_LARGE_NUMBERS), choose.randrange(min(len(data), 120) + 1)
    return data[:start] + number + data[start + len(number) :]


def _twice(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data) + 1)
    return data[:start] + data[start // 2 :]


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _without_a_part,
    _with_other_bytes,
    _with_a_large_number,
    _twice,
)


def damaged(seed: int) -> Iterator[bytes]:
    """Files with one to three damages, without end."""
    choose = random.Random(seed)
    while True:
        data = choose.choice(_whole())
        for _ in range(choose.randrange(1, 4)):
            data = choose.choice(_CHANGES)(data, choose)
        yield data


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int, data: bytes = bytes(100), *more: bytes) -> bytes:
    """A PNG in black and white with these dimensions in its header, and this data."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), *more, _chunk(b"IDAT", zlib.compress(data, 9)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bombs() -> Iterator[bytes]:
    """Small files that cost a reader much time or memory."""
    gif = encoded(half(size=(4, 4)), "GIF")
    jpeg = encoded(half(size=(64, 64)), "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    yield png_of(50_000, 50_000, bytes(1 << 26))
    yield png_of(9_900, 9_900, bytes(1239 * 9_900))  # just under the limit
    yield png_of(0x7FFFFFFF, 1)
    yield png_of(10, 10, bytes(100), _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26), 9)))
    yield png_of(10, 10, bytes(100), _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26), 9)))
    yield jpeg[:frame] + b"\xff\xff\xff\xff" + jpeg[frame + 4 :]
    yield gif[:6] + b"\xff\xff\xff\xff" + gif[10:]
    yield gif[:-1] + b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\0" * 100_000 + b";"
    yield (
        b"II*\0\x08\0\0\0" + b"\x01\0\0\x01\x04\0\xff\xff\xff\x7f\0\0\0\0\x08\0\0\0" * 100
    )  # a directory that refers to itself
    yield encoded(Image.new("1", (9_000, 9_000)), "TIFF", compression="group4")
    yield encoded(Image.new("RGB", (16_000, 16_000)), "JPEG", quality=1)
    yield encoded(Image.new("L", (9_000, 9_000)), "WEBP", lossless=True, method=0)
