"""Does the model still get anywhere, or is its reasoning over its budget, or does it go round in circles?"""

from dragoman.generation.repetition import Repetition

_ENDLESS = 4000
"""Characters of one thing over and over after which a model will not stop by itself."""
_A_CIRCLE = 64
"""The same where an answer was promised and seven eighths of its room are gone; there, counting upwards is a circle too."""


class LoopGuard:
    """Listens to what a model writes in one job.

    `budget` is how many tokens it may reason, None for any number. `promised`: a form was promised for the answer, which a
    model that runs into its `limit` (tokens) would break.
    """

    __slots__ = ("_budget", "_limit", "_promised", "_repetition")

    def __init__(self, budget: int | None, limit: int, *, promised: bool) -> None:
        self._budget = budget
        self._limit = limit
        self._promised = promised
        self._repetition = Repetition()

    def should_stop(self, text: str, *, output: int, thought: int, thinking: bool) -> bool:
        """Hear the next `text`: should the model be stopped here?

        `output` and `thought` are the tokens of the turn so far, and those of them that were reasoning; `thinking`: it still
        reasons.
        """
        looked = self._repetition.feed(text)
        if self._budget is not None and thinking and thought >= self._budget:
            return True
        if self._promised and 8 * output >= 7 * self._limit:
            return self._repetition.counted >= _A_CIRCLE
        return looked and self._repetition.stretch >= _ENDLESS
