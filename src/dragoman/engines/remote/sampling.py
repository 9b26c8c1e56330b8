"""How tokens are chosen, with nothing left open, for engines that do not ask who made the model.

What the client left open comes from the model's `generation_config.json`, as it would in the library that the file is for.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from dragoman.conversation import Sampling


class Settled(Struct, frozen=True):
    """`top_k` 0 means: of all tokens. The defaults are the plain model's own distribution."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


_WHOLE: Final = frozenset({"top_k"})


def settled(sampling: Sampling, recommended: Mapping[str, Any]) -> Settled:
    """The client's choice, then the recommendation, then the default; what is no number recommends nothing."""
    chosen: dict[str, Any] = {}
    for name in Settled.__struct_fields__:
        value = getattr(sampling, name, None)
        value = recommended.get(name) if value is None else value
        if value is not None and type(value) in ((int,) if name in _WHOLE else (int, float)) and value >= 0:
            chosen[name] = value
    if chosen.get("top_p") == 0:  # the likeliest token alone: engines that refuse this spelling know another
        chosen |= {"temperature": 0.0, "top_p": 1.0}
    return Settled(**chosen)
