"""The token counts in replies of engines' OpenAI endpoints."""

from msgspec import Struct


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class Usage(Struct, gc=False):
    """The counts of one reply in tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None

    @property
    def cached(self) -> int | None:
        """How many tokens of the prompt were in the cache; None if the engine does not report it."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details is not None else None
