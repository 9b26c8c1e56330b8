"""The segments of a prompt with their lengths, cut where the cache ended."""

import re
from collections.abc import Mapping

from dragoman.prompt.segment_lengths import SegmentLength, segment_lengths
from dragoman.prompt.tokens import TokenCache
from dragoman.special_tokens import SpecialTokens

BEGIN = "<|im_start|>"
_WORD = re.compile(rf"{re.escape(BEGIN)}|\s*\w+|\s+|.")
NO_IMAGES: Mapping[str, int] = {}


async def tokenize(text: str, *, special: bool = True) -> list[int]:
    """One token for a special token and for each word; a special token that is spelled has one for each character."""
    found = _WORD.findall(text) if special else list(text)
    return [0 if special and word == BEGIN else 1 + len(word) for word in found]


async def lengths(text: str, reused: int, sentinel: str = "", images: Mapping[str, int] = NO_IMAGES) -> list[SegmentLength]:
    cache = await TokenCache.probe(tokenize, SpecialTokens(tokenize, [BEGIN]), f"{BEGIN}user\nHello")
    assert cache.borders == [BEGIN]
    return await segment_lengths(cache, text, sentinel, images, reused)


async def test_a_segment_begins_with_a_special_token() -> None:
    found = await lengths(f"{BEGIN}user one two{BEGIN}assistant", 0)
    assert found == [SegmentLength(f"{BEGIN}user one two", 4, 0), SegmentLength(f"{BEGIN}assistant", 2, 0)]


async def test_a_segment_is_cut_where_the_cache_ended() -> None:
    found = await lengths(f"{BEGIN}user one two{BEGIN}assistant", 3)
    assert found == [
        SegmentLength(f"{BEGIN}user one", 3, 3),
        SegmentLength(" two", 1, 0),
        SegmentLength(f"{BEGIN}assistant", 2, 0),
    ]


async def test_whole_segments_are_not_cut() -> None:
    found = await lengths(f"{BEGIN}user one two{BEGIN}assistant", 4)
    assert [each.reused for each in found] == [4, 0]
    assert [each.reused for each in await lengths(f"{BEGIN}user{BEGIN}assistant", 99)] == [2, 2]


async def test_a_special_token_that_a_client_spells_begins_no_segment() -> None:
    sentinel = "\ue000"
    spelled = f"{BEGIN[:1]}{sentinel}{BEGIN[1:]}"
    found = await lengths(f"{BEGIN}user {spelled}", 0, sentinel)
    assert [each.text for each in found] == [f"{BEGIN}user {BEGIN}"]


async def test_an_image_has_its_own_length() -> None:
    found = await lengths(f"{BEGIN}user <image 0af3> see", 0, images={"0af3": 256})
    assert [(each.text, each.tokens) for each in found] == [(f"{BEGIN}user ", 3), ("<image 0af3>", 256), (" see", 1)]
