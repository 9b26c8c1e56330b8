"""Pictures of one colour, as clients send them and as they reach the engine."""

from io import BytesIO
from pathlib import Path

import PIL.Image

from dragoman.conversation import Image

RED = (255, 0, 0)


def write_picture(path: Path, color: tuple[int, int, int]) -> None:
    """Write a picture of that colour, in the format of the file's name."""
    PIL.Image.new("RGB", (40, 20), color).save(path)


def color_of(image: Image) -> object:
    """The colour in the middle of an image that an engine gets."""
    picture = PIL.Image.open(BytesIO(image.data)).convert("RGB")
    return picture.getpixel((picture.width // 2, picture.height // 2))
