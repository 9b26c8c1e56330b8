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
"""The KV cache gets half of the memory beside the weights; the rest is for prompts that are kept outside the slots."""


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


def fit(model: ModelFile, memory: Memory, wish: Wish) -> Fit:
    """Choose for a model that has the memory to itself: only that of the devices, if a comfortable window fits there."""
    footprint, trained = Footprint.of(model), trained_window(model.path)
    fits_on_devices = footprint.total(min(COMFORTABLE, trained or COMFORTABLE), 1) <= memory.devices
    available = memory.devices if fits_on_devices else memory.total
    tokens = max(0, available - footprint.fixed) // _SHARE // footprint.per_token
    longest = min(wish.longest, trained or wish.longest)
    enough = min(wish.context or AMPLE, longest)
    parallel = next((number for number in wish.parallel if tokens // number >= enough), wish.parallel[-1])
    context = wish.context or min(longest, max(tokens // parallel // _STEP * _STEP, _SMALLEST))
    return Fit(context, parallel, footprint.total(context, parallel))
