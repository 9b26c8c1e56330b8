"""Images that clients send become PNGs or JPEGs: checked, upright, scaled down; else an error that says why."""

import struct
import zlib

import pytest
from PIL import Image

from dragoman.media.image_decoding import LONGEST_SIDE, MOST_PIXELS, UnreadableImage, decoded
from media.pictures import encoded, half, opened

RED, BLUE = (255, 0, 0), (0, 0, 255)


def near(color: object, wanted: tuple[int, int, int]) -> bool:
    return isinstance(color, tuple) and all(abs(a - b) < 40 for a, b in zip(color, wanted, strict=True))


@pytest.mark.clause("IN-2")
@pytest.mark.parametrize("data", [encoded(half()), encoded(half("P")), encoded(half("1")), encoded(half(), "JPEG")])
def test_what_every_engine_reads_is_passed_on_unchanged(data: bytes) -> None:
    assert decoded(data).data is data


@pytest.mark.clause("IN-2")
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM", "PCX", "QOI", "SGI"])
def test_other_formats_are_encoded_again(kind: str) -> None:
    made = decoded(encoded(half(size=(64, 64)), kind))
    image = opened(made.data).convert("RGB")
    assert made.media_type in ("image/png", "image/jpeg")
    assert (image.size, made.first_of_several) == ((64, 64), False)
    assert near(image.getpixel((8, 8)), RED)
    assert near(image.getpixel((56, 8)), BLUE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_is_turned_upright_by_its_exif(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at the right
    image = opened(decoded(encoded(half(), kind, exif=exif)).data)
    assert image.size == (20, 40)
    assert near(image.convert("RGB").getpixel((10, 4)), RED)
    assert near(image.convert("RGB").getpixel((10, 36)), BLUE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(LONGEST_SIDE * 2, 100), (30, LONGEST_SIDE + 1), (LONGEST_SIDE * 2, 1)])
def test_a_larger_image_is_scaled_down(kind: str, size: tuple[int, int]) -> None:
    image = opened(decoded(encoded(half(size=size), kind)).data)
    scale = LONGEST_SIDE / max(size)
    assert image.size == tuple(max(1, round(side * scale)) for side in size)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    palette = half("P")
    for data in (encoded(clear), encoded(clear, "WEBP", lossless=True), encoded(clear.convert("LA"))):
        assert opened(decoded(data).data).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert opened(decoded(encoded(palette, transparency=palette.getpixel((0, 0)))).data).getpixel((0, 0)) == (255, 255, 255)
    opaque = encoded(half("RGBA"))
    assert decoded(opaque).data is opaque


def test_deep_and_printing_colors_are_converted() -> None:
    cases = {
        encoded(Image.new("I;16", (4, 4), 0x8000)): (128, 128, 128),
        encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"): RED,
        encoded(Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (138, 209, 198)]), "TIFF"): RED,
    }
    for data, color in cases.items():
        image = opened(decoded(data).data)
        assert image.mode in ("L", "RGB")
        assert near(image.convert("RGB").getpixel((1, 1)), color)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = {"save_all": True, "append_images": [half().transpose(Image.Transpose.ROTATE_180)] * 2}
    made = decoded(encoded(half(), kind, **frames))
    assert made.first_of_several
    assert near(opened(made.data).convert("RGB").getpixel((4, 4)), RED)
    assert not decoded(encoded(half(), kind)).first_of_several


def test_equal_bytes_give_equal_bytes_as_caches_compare_them() -> None:
    data = encoded(half(size=(3000, 50)), "WEBP")
    assert decoded(data) == decoded(data)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int) -> bytes:
    """A PNG with these dimensions in its header, and almost no data."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.clause("IN-3")
@pytest.mark.parametrize(("width", "height"), [(MOST_PIXELS, 2), (2**31 - 1, 2**31 - 1), (20_000, 20_000)])
def test_a_decompression_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(UnreadableImage, match=r"pixels, and this server decodes 100,000,000|cannot be decoded"):
        decoded(png_of(width, height))


@pytest.mark.clause("IN-3")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has a format"),
        (b"hello", "has a format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "has a format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "has a format"),
        (b"\x89PNG\r\n\x1a\n", "has a format"),
        (png_of(100, 100), "cannot be decoded"),
        (encoded(half())[:-30], "cannot be decoded"),
        (encoded(half(size=(500, 500)), "JPEG")[:-700], "cannot be decoded"),
        (encoded(half(), "WEBP")[:-10], "cannot be decoded|has a format"),
    ],
)
def test_a_broken_image_or_another_format_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decoded(data)


def test_no_cut_of_an_image_raises_another_error() -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PCX", "QOI", "SGI"):
        data = encoded(half(), kind)
        for cut in sorted({*range(0, len(data), max(1, len(data) // 40))}):
            try:
                decoded(data[:cut])
            except UnreadableImage:
                continue
