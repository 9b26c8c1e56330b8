"""Keeps results in memory, up to a number of bytes."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Results by key; the least recently used ones go when all together exceed `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._results: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return a result, None if it is not kept."""
        if key not in self._results:
            return None
        self._results.move_to_end(key)
        return self._results[key][0]

    def newest(self) -> Iterator[tuple[K, V]]:
        """Yield all results, the most recently used ones first."""
        return ((key, self._results[key][0]) for key in reversed(self._results))

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a result of `size` bytes."""
        if key in self._results:
            self._bytes -= self._results.pop(key)[1]
        self._results[key] = value, size
        self._bytes += size
        while self._bytes > self._most:
            _, (_, freed) = self._results.popitem(last=False)
            self._bytes -= freed
