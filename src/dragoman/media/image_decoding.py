"""Decodes images with Pillow: checked, turned upright, scaled down, and encoded again only where an engine needs it.

`decoded` runs in a worker process: an image may be any bytes, and native code reads it. The dimensions in the header are
bounded before any pixel is decoded; time and memory are bounded by the worker. The same bytes always give the same result, so
that an engine's cache recognizes an image of an earlier turn.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

LONGEST_SIDE: Final = 2048
"""Pixels of the longer side of an image for the model: larger ones are scaled down."""
MOST_PIXELS: Final = 100_000_000
"""Pixels that are decoded, at up to four bytes each. A JPEG may have 64 times as many, as it is decoded at a smaller scale."""
_FORMATS: Final = (
    "PNG",
    "JPEG",
    "GIF",
    "WEBP",
    "BMP",
    "DIB",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "ICO",
    "PPM",
    "PCX",
    "QOI",
    "SGI",
    "PSD",
)
"""Formats that are decoded: those of Pillow that hold pixels, run no other program, and begin with a signature."""
_AS_THEY_ARE: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg"}
"""Formats that every engine reads; MPO is a JPEG with further pictures after it."""
_PHOTOGRAPHIC: Final = {"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000"}
_WITH_FRAMES: Final = {"PNG", "GIF", "WEBP", "AVIF", "TIFF"}
_READABLE_MODES: Final = {"1", "L", "P", "RGB", "RGBA", "LA"}
_JPEG_QUALITY: Final = 90
_PNG_LEVEL: Final = 4
_LARGEST_PNG: Final = 4 << 20
"""Bytes of a PNG; an image that needs more becomes a JPEG."""
_JPEG_TAIL: Final = 64 * 1024
_JPEG_FRAME: Final = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]", re.DOTALL)
_COMMON_JPEG: Final = {0xC0, 0xC1, 0xC2}
"""Baseline and progressive JPEGs; others, such as with arithmetic coding, are not read by every engine."""
_ORIENTATION: Final = 0x0112
_16_BITS: Final = 65535


class UnreadableImage(Exception):
    """An image that cannot be decoded. The message completes a sentence about it: `it …`."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image for an engine. `first_of_several`: it is the first frame of an animation, or the first page."""

    data: bytes
    media_type: str
    first_of_several: bool = False
    scaled_down: bool = False


def decoded(data: bytes, longest: int = LONGEST_SIDE) -> Decoded:
    """Decode an image, whatever its media type is said to be. `longest` is in pixels. Raises `UnreadableImage`."""
    with _reading(), _opened(data) as image:
        kind = image.format or ""
        original, size = image.size, _fitted(image.size, longest)
        image.draft(None, size)  # a JPEG is decoded at the smallest scale that is large enough
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableImage(f"has {image.width} x {image.height} pixels, and this server decodes {MOST_PIXELS:,}")
        first_of_several = kind in _WITH_FRAMES and bool(getattr(image, "is_animated", False))
        image.load()
        kept = kind in _AS_THEY_ARE and original == size and _orientation(image) == 1 and _intact(data, kind)
        if kept and image.mode in _READABLE_MODES and not _transparent(image):
            return Decoded(data, _AS_THEY_ARE[kind], first_of_several)
        plain = _upright(_opaque(_scaled(_in_8_bits(image), size)), _orientation(image))
        return Decoded(*_encoded(plain, photographic=kind in _PHOTOGRAPHIC), first_of_several, original != size)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn every error of a decoder into `UnreadableImage`: on broken data, Pillow raises errors of many kinds."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except (UnreadableImage, MemoryError):
        raise
    except Exception:
        raise UnreadableImage("cannot be decoded") from None


def _opened(data: bytes) -> "Picture":
    import PIL.Image  # noqa: PLC0415 -- native code, which only worker processes load

    PIL.Image.MAX_IMAGE_PIXELS = None  # `decoded` has a bound of its own, with the scale of a JPEG taken into account
    try:
        return PIL.Image.open(BytesIO(data), formats=_FORMATS)
    except PIL.UnidentifiedImageError:
        raise UnreadableImage("has a format that this server does not decode") from None


def _intact(data: bytes, kind: str) -> bool:
    """Whether other decoders than Pillow read the file too: it is complete, and its compression is a common one."""
    if kind != "PNG":
        frame = _JPEG_FRAME.search(data)
        return b"\xff\xd9" in data[-_JPEG_TAIL:] and frame is not None and frame[0][1] in _COMMON_JPEG
    try:
        _opened(data).verify()
    except Exception:
        return False
    return True


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size with the longer side at most `longest`, and no side below 1."""
    width, height = size
    scale = min(1.0, longest / max(width, height, 1))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: "Picture") -> int:
    """The orientation by EXIF, from 1, which is upright, to 8."""
    orientation: object = 1
    with suppress(Exception):  # an image is shown even if its EXIF is broken
        orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _transparent(image: "Picture") -> bool:
    """Whether a pixel is transparent: engines ignore that, and see hidden colors."""
    if image.mode in ("RGBA", "LA"):
        lowest, _ = image.getchannel("A").getextrema()
        return isinstance(lowest, int | float) and lowest < 255
    return "transparency" in image.info


def _in_8_bits(image: "Picture") -> "Picture":
    """The image with 8 bits in each channel, gray or in red, green and blue, with or without alpha."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        lowest, highest = image.getextrema()
        assert isinstance(lowest, int | float)
        assert isinstance(highest, int | float)
        start, end = (0.0, float(_16_BITS)) if lowest >= 0 and 255 < highest <= _16_BITS else (lowest, max(highest, lowest + 1))
        scale = 255 / (end - start)
        return image.convert("F").point(lambda value: value * scale - start * scale).convert("L")
    if image.mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if "transparency" in image.info or image.mode in ("PA", "La", "RGBa") else "RGB")


def _scaled(image: "Picture", size: tuple[int, int]) -> "Picture":
    import PIL.Image  # noqa: PLC0415

    return image if image.size == size else image.resize(size, PIL.Image.Resampling.LANCZOS, reducing_gap=2.0)


def _opaque(image: "Picture") -> "Picture":
    """The image on white, as viewers show it."""
    import PIL.Image  # noqa: PLC0415

    if image.mode not in ("RGBA", "LA"):
        return image
    colored = image.convert("RGBA")
    ground = PIL.Image.new("RGBA", image.size, "white")
    return PIL.Image.alpha_composite(ground, colored).convert("RGB")


def _upright(image: "Picture", orientation: int) -> "Picture":
    import PIL.Image  # noqa: PLC0415

    turns = PIL.Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _encoded(image: "Picture", *, photographic: bool) -> tuple[bytes, str]:
    """The image as a JPEG if it is a photograph or large, else as a PNG; without metadata."""
    image.info.clear()
    encoded = BytesIO()
    if not photographic:
        image.save(encoded, "PNG", compress_level=_PNG_LEVEL)
        if encoded.tell() <= _LARGEST_PNG:
            return encoded.getvalue(), "image/png"
        encoded = BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue(), "image/jpeg"
