"""The server and the model that a program is launched with, and the sizes that follow from the context window."""

from dataclasses import dataclass

from dragoman.cli.http import NO_KEY

LARGEST_OUTPUT = 32_000
"""Tokens of the longest answer."""
_SMALLEST_OUTPUT = 2_048
_OUTPUT_SHARE = 8
"""The share of the window for answers: one eighth. Programs reserve a whole answer, and compact that much earlier."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server and its model. `window` is in tokens, for prompt and answer together; None if unknown.

    `small` is a second model for small requests.
    """

    url: str
    model: str
    window: int | None
    key: str = NO_KEY
    small: str | None = None

    @classmethod
    def of(cls, url: str, model: str, window: int | None, key: str | None, small: str | None = None) -> "Target":
        """The target with `NO_KEY` in place of a missing key, so that programs do not report that the user is not logged in."""
        return cls(url, model, window, key or NO_KEY, small)

    @property
    def output(self) -> int:
        """The longest answer to request, in tokens. The server reduces it to the space that is left in the window."""
        window = self.window or LARGEST_OUTPUT * _OUTPUT_SHARE
        return max(_SMALLEST_OUTPUT, min(LARGEST_OUTPUT, window // _OUTPUT_SHARE))

    @property
    def models(self) -> tuple[str, ...]:
        """The model, and the small one if there is one."""
        return (self.model, self.small) if self.small else (self.model,)

    @property
    def for_small(self) -> str:
        """The model for small requests."""
        return self.small or self.model
