"""The common prefix of two prompts, which an engine's cache can reuse."""

from array import array
from typing import TypeVar

S = TypeVar("S", str, "array[int]")


def common_prefix_length(one: S, other: S) -> int:
    """Return the length of the common prefix, by binary search, since slices compare much faster than single items."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
