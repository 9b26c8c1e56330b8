"""Decides when to stop a model early: its thinking budget is spent, or it repeats itself."""

from dragoman.generation.repetition import Repetition

_MOST_REPEATED = 4000
"""Repeated characters after which a model is stopped, since it would not stop on its own."""
_MOST_REPEATED_NEAR_LIMIT = 64
"""The same for a structured answer that has used seven eighths of its limit, where counting upwards is repetition, too."""


class LoopGuard:
    """Watches the output of one engine request.

    `budget` is the limit of reasoning tokens, None for no limit. `structured`: the answer must match a schema or be a call, so
    that reaching its `limit` (tokens) would break it.
    """

    __slots__ = ("_budget", "_limit", "_repetition", "_structured")

    def __init__(self, budget: int | None, limit: int, *, structured: bool) -> None:
        self._budget = budget
        self._limit = limit
        self._structured = structured
        self._repetition = Repetition()

    def should_stop(self, text: str, *, output: int, thought: int, thinking: bool) -> bool:
        """Add the next `text`, and return whether to stop the model.

        `output` and `thought` are the tokens of the answer so far and those of its reasoning; `thinking`: the model is still
        reasoning.
        """
        checked = self._repetition.feed(text)
        if self._budget is not None and thinking and thought >= self._budget:
            return True
        if self._structured and 8 * output >= 7 * self._limit:
            return self._repetition.length_ignoring_numbers >= _MOST_REPEATED_NEAR_LIMIT
        return checked and self._repetition.length >= _MOST_REPEATED
