"""The recent decoding speed of a model."""

from collections import deque
from typing import Final

_RECENT: Final = 16
"""Answers."""


class Speed:
    """The speed of the last answers, each by itself: several at once are not added."""

    def __init__(self) -> None:
        self._answers: deque[tuple[int, float]] = deque(maxlen=_RECENT)

    def add(self, tokens: int, seconds: float) -> None:
        """Take an answer into account: its tokens, and the seconds of decoding them."""
        if tokens and seconds:
            self._answers.append((tokens, seconds))

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens per second of decoding; None before the first answer."""
        tokens, seconds = (sum(values) for values in zip(*self._answers, strict=True)) if self._answers else (0, 0.0)
        return round(tokens / seconds, 1) if seconds else None
