"""The segments of a prompt with their lengths in tokens, cut where the engine's cache ended: for people, not for the engine."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from dragoman.prompt.tokens import TokenCache

IMAGE_NOTE: Final = "<image {}>"
"""What is shown in the place of an image, with its digest."""
_IMAGE: Final = re.compile(r"<image ([0-9a-f]+)>")
_LONGEST_CUT: Final = 100_000
"""Characters of a segment that is cut exactly, which takes a dozen calls of the tokenizer; a longer one is cut by its share."""


class SegmentLength(NamedTuple):
    """A segment, or the part of it that was reused or not. `reused` is the number of its tokens that were."""

    text: str
    tokens: int
    reused: int


async def segment_lengths(
    cache: TokenCache, text: str, sentinel: str, images: Mapping[str, int], reused: int
) -> list[SegmentLength]:
    """The segments of a text as `TokenCache.encode` gets it; the first `reused` tokens were in the engine's cache.

    `images` are the lengths of its images by digest. Raises what the engine's tokenizer raises.
    """
    found: list[SegmentLength] = []
    for segment, tokens in await _lengths(cache, text, sentinel, images):
        left = min(max(reused, 0), tokens)
        reused -= tokens
        if 0 < left < tokens and (place := await _cut(cache, segment, tokens, left)):
            found += [SegmentLength(segment[:place], left, left), SegmentLength(segment[place:], tokens - left, 0)]
        else:
            found.append(SegmentLength(segment, tokens, left))
    return found


async def _lengths(cache: TokenCache, text: str, sentinel: str, images: Mapping[str, int]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for number, piece in enumerate(_IMAGE.split(text) if images else [text]):
        if number % 2 and piece in images:
            found.append((IMAGE_NOTE.format(piece), images[piece]))
        elif piece:
            found += await cache.lengths(IMAGE_NOTE.format(piece) if number % 2 else piece, sentinel)
    return found


async def _cut(cache: TokenCache, segment: str, tokens: int, left: int) -> int:
    """The characters of a segment that its first `left` tokens cover: the most whose tokens are not more than that."""
    if len(segment) > _LONGEST_CUT:
        return len(segment) * left // tokens
    low, high = 0, len(segment)
    while low < high:
        middle = (low + high + 1) // 2
        if await cache.measure(segment[:middle]) <= left:
            low = middle
        else:
            high = middle - 1
    return low
