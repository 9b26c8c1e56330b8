"""The cache breakpoints of a request."""

from typing import Literal

from dragoman.api.base import WireModel


class CacheControl(WireModel):
    """A cache breakpoint: accepted wherever the API has it, without effect on the prompt (CACHE-1)."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
