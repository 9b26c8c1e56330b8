"""Sampling parameters: kept within the limits of every engine, and completed for engines that need every field.

`bounded` replaces values that engines refuse, overflow on or misread by values that mean the same. `resolved` fills unset
fields from the model's `generation_config.json`, as the library does that the file is for.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from msgspec import Struct

from dragoman.conversation import Sampling

_LEAST: Final = 1e-5
"""Temperatures and top-p values below this leave only the likeliest token; as divisors in 32 bits they overflow (llama.cpp
writes nonsense at 1e-38)."""
_MOST_TOKENS: Final = 1 << 24
"""More tokens than any vocabulary has; engines keep `top_k` in 32 bits."""
_SEEDS: Final = 4_294_967_291
"""The largest prime below 2**32. llama.cpp has 32 bits for a seed and reads 2**32 - 1, and so -1, as "a random one"."""


def bounded(sampling: Sampling) -> Sampling:
    """The same sampling in values that every engine accepts. Equal seeds stay equal; those from 0 to 4294967290 are kept."""
    greedy = any(value is not None and value < _LEAST for value in (sampling.temperature, sampling.top_p))
    return replace(
        sampling,
        temperature=0.0 if greedy else sampling.temperature,
        top_p=None if sampling.top_p is None else 1.0 if greedy else sampling.top_p,
        top_k=0 if sampling.top_k is not None and sampling.top_k >= _MOST_TOKENS else sampling.top_k,
        seed=None if sampling.seed is None else sampling.seed % _SEEDS,
    )


class ResolvedSampling(Struct, frozen=True):
    """Sampling with every field set. `top_k` 0 means no limit. The defaults leave the model's distribution unchanged."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


_WHOLE: Final = frozenset({"top_k"})


def resolved(sampling: Sampling, recommended: Mapping[str, Any]) -> ResolvedSampling:
    """The client's value, else the recommended one, else the default; recommended values that are not numbers are ignored."""
    chosen: dict[str, Any] = {}
    for name in ResolvedSampling.__struct_fields__:
        value = getattr(sampling, name, None)
        value = recommended.get(name) if value is None else value
        if value is not None and type(value) in ((int,) if name in _WHOLE else (int, float)) and value >= 0:
            chosen[name] = value
    if chosen.get("top_p") == 0:  # greedy: some engines refuse top_p 0
        chosen |= {"temperature": 0.0, "top_p": 1.0}
    return ResolvedSampling(**chosen)
