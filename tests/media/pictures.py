"""Pictures for tests, encoded by Pillow."""

import base64
from io import BytesIO
from typing import Any

from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image in a format of Pillow."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def half(mode: str = "RGB", size: tuple[int, int] = (40, 20)) -> Image.Image:
    """A picture whose left half is red, or dark, and whose right half is blue, or black."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def opened(data: bytes) -> Image.Image:
    """The decoded image."""
    image = Image.open(BytesIO(data))
    image.load()
    return image


def in_base64(data: bytes) -> str:
    """The data as base64."""
    return base64.b64encode(data).decode()
