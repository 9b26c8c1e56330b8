"""The common prefix of two prompts, which an engine's cache can reuse."""

from array import array
from collections.abc import Sequence
from typing import Final, TypeVar

_WINDOW: Final = 16_384
"""Items that are compared at once: copies of so many stay in the processor's cache."""

S = TypeVar("S", str, "array[int]")


def packed(tokens: Sequence[int]) -> "array[int]":
    """Return token ids as an array, whose slices compare quickly: the same one if they are one."""
    return tokens if isinstance(tokens, array) else array("I", tokens)


def common_prefix_length(one: S, other: S) -> int:
    """Return the length of the common prefix. Slices compare faster than items: whole windows, and then halves of one."""
    low, most = 0, min(len(one), len(other))
    while low < most and one[low : low + _WINDOW] == other[low : low + _WINDOW]:
        low += _WINDOW
    low, high = min(low, most), min(low + _WINDOW, most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
