"""How much two prompts have in common from their beginning: what a cache lives on."""

from array import array
from typing import TypeVar

S = TypeVar("S", str, "array[int]")


def common_prefix_length(one: S, other: S) -> int:
    """The length of what both begin with. Halved until it is found, since stretches compare much faster than single items."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
