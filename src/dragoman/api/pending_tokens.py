"""The tokens of an answer that no event has yet: the next event of their choice or block takes them."""

from collections.abc import Sequence

from dragoman.conversation import TokenReport
from dragoman.parts import LogProb, Tokens

_UNKNOWN = LogProb("", b"")


class PendingTokens:
    """Collects the tokens of the parts that ask for them, in order: `ids` are empty while there are none."""

    __slots__ = ("_logprobs", "ids", "report")

    def __init__(self, report: TokenReport) -> None:
        self.report = report
        self.ids: list[int] = []
        self._logprobs: list[LogProb] = []

    def add(self, part: Tokens) -> None:
        """Add tokens. Of those that have no log-probability, it is not known."""
        self.ids += part.ids
        if self.report.top is not None:
            self._logprobs += part.logprobs or [_UNKNOWN] * len(part.ids)

    def take(self) -> tuple[Sequence[int], Sequence[LogProb]]:
        """Return the ids, and their log-probabilities if the request asks for them; none are left."""
        taken = self.ids, self._logprobs
        self.ids, self._logprobs = [], []
        return taken
