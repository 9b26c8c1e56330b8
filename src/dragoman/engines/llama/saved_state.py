"""The beginning of a file in which llama.cpp saves a slot: its tokens. The rest is the state of the model.

The file begins with three 32-bit numbers, of which the last is a count of token ids, which follow. In newer versions these
begin with -1, a version and the number of tokens of the slot, and end with data on its images, whose tokens are -1. Some tokens
before and after an image are ordinary ones, but we count them as the image's.
"""

from array import array
from pathlib import Path
from typing import Final

_HEADER: Final = 3
_COUNT: Final = 2
_PREFIX: Final = 3
_WITH_PREFIX: Final = -1
_IMAGE: Final = -1


def saved_tokens(file: Path, sent: "array[int]", length: int) -> "array[int] | None":
    """The tokens of a saved slot to which the prompt `sent` was sent; `length` is how many it has, as the server reports.

    They may be more than were sent, with the answer, or fewer, if the request was cancelled. None if the file has another
    format, or if it has images and is not what was sent: which images they are is known only from there. Raises `OSError`.
    """
    held = _read(file, length)
    if held is None:
        return None
    if _IMAGE not in held:
        return array("I", held.tobytes())
    ours = array("i", (there if token >> 31 else token for token, there in zip(sent, held, strict=False)))
    if held[: len(ours)] != ours or _IMAGE in held[len(ours) :]:
        return None
    return sent[:length] + array("I", held[len(ours) :].tobytes())


def _read(file: Path, length: int) -> "array[int] | None":
    with file.open("rb") as data:
        header = _numbers(data.read(_HEADER * 4))
        if len(header) < _HEADER or not length <= header[_COUNT] <= file.stat().st_size // 4:
            return None
        numbers = _numbers(data.read(header[_COUNT] * 4))
    if numbers[:1] == array("i", [_WITH_PREFIX]) and len(numbers) > _PREFIX and numbers[_PREFIX - 1] == length:
        numbers = numbers[_PREFIX:]
    return numbers[:length] if len(numbers) >= length else None


def _numbers(data: bytes) -> "array[int]":
    return array("i", data[: len(data) // 4 * 4])
