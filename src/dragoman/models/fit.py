"""Chooses a context window and a number of conversations that fit into the memory there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dragoman.models.gguf_header import trained_window
from dragoman.models.memory import Footprint, Memory
from dragoman.models.resolve import ModelFile

COMFORTABLE: Final = 48_000
"""The smallest window, in tokens, in which a coding agent has space to work."""
AMPLE: Final = 65_536
"""Tokens that are enough for one conversation. Memory beyond that goes to more of them."""
_SMALLEST: Final = 4_096
_STEP: Final = 1_024
_SHARE: Final = 2
"""KV caches get half of the memory beside the weights; the rest is for prompts that are kept outside the slots."""
_DEVICE_RESERVE: Final = 1 << 30
"""Bytes that stay free on devices, as llama.cpp has it. Prompts are kept in the system's memory."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`context` tokens for each of `parallel` conversations, which take about `memory` bytes with the model."""

    context: int
    parallel: int
    memory: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted: windows of at most `longest` tokens, and the numbers of conversations that are tried, in order.

    The first number is taken with which each conversation gets an ample window, else the last. `context`, if it is given, is
    the window in any case.
    """

    longest: int = AMPLE
    parallel: Sequence[int] = (4, 2, 1)
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a model, what it takes, and the longest window that is chosen for it, in tokens."""

    wish: Wish
    footprint: Footprint
    longest: int

    @classmethod
    def of(cls, model: ModelFile, wish: Wish) -> "Wanted":
        """Read the model's header."""
        return cls(wish, Footprint.of(model), min(wish.longest, trained_window(model.path) or wish.longest))

    @property
    def given(self) -> Fit | None:
        """What the user gave: the window, and the number of conversations."""
        if self.wish.context is None or len(self.wish.parallel) > 1:
            return None
        return Fit(self.wish.context, self.wish.parallel[0], self.footprint.total(self.wish.context, self.wish.parallel[0]))

    @property
    def needed(self) -> int:
        """The bytes that it takes at least: with what the user gave, or with one comfortable window."""
        given = self.given
        return given.memory if given else self.footprint.total(min(COMFORTABLE, self.longest), 1)


def fit_all(models: Sequence[Wanted], memory: Memory) -> list[Fit]:
    """Choose for each model: so that all are in memory together, if that leaves each a comfortable window; else for each alone.

    Only the memory of the devices is used if that is enough.
    """
    fixed = sum(wanted.footprint.fixed for wanted in models)
    needed = sum(wanted.needed for wanted in models) - fixed
    left = _left_for_caches(fixed, needed, memory)
    if left < needed and len(models) > 1:
        return [fit_all([wanted], memory)[0] for wanted in models]
    chosen: dict[int, Fit] = {}
    for index in sorted(range(len(models)), key=lambda index: _rank(models[index])):
        wanted, share = models[index], left // (len(models) - len(chosen))
        chosen[index] = wanted.given or _choose(wanted, share)
        left = max(0, left - chosen[index].memory + wanted.footprint.fixed)
    return [chosen[index] for index in range(len(models))]


def _rank(wanted: Wanted) -> tuple[bool, int]:
    """What is given comes first, then the models that need the least: what they leave is for the others."""
    return wanted.given is None, wanted.footprint.conversations(wanted.longest, 1)


def _left_for_caches(fixed: int, needed: int, memory: Memory) -> int:
    """The bytes for KV caches beside the `fixed` ones."""
    on_devices = memory.devices - fixed - _DEVICE_RESERVE
    return on_devices if on_devices >= needed else max(0, memory.total - fixed) // _SHARE


def _choose(wanted: Wanted, cache: int) -> Fit:
    """Choose for a model whose KV cache may take `cache` bytes."""
    footprint, wish = wanted.footprint, wanted.wish
    enough = min(wish.context or AMPLE, wanted.longest)
    parallel = next((number for number in wish.parallel if footprint.window_in(cache, number) >= enough), wish.parallel[-1])
    longest = footprint.window_in(cache, parallel) // _STEP * _STEP
    context = wish.context or min(wanted.longest, max(longest, _SMALLEST))
    return Fit(context, parallel, footprint.total(context, parallel))
