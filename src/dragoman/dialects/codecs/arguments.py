"""The interface between a block of calls and the reader of one call's arguments."""

from abc import ABC, abstractmethod


class ArgumentReader(ABC):
    """Converts the arguments of one call, as the family writes them, into one JSON object.

    `out` holds the JSON text written so far; the owner empties it. `done`: they are complete, and their closer is consumed.
    `stuck`: the next text is not part of them; the owner decides.
    """

    def __init__(self) -> None:
        self.out: list[str] = []
        self.done = False
        self.stuck = False

    @abstractmethod
    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read from `pos` on; returns the end of what was consumed. `final`: no more text comes."""

    @property
    @abstractmethod
    def clean(self) -> bool:
        """Whether no value would be incomplete if the block were closed here."""

    @property
    @abstractmethod
    def may_end(self) -> bool:
        """Whether no value would be incomplete if the output ended here."""

    @abstractmethod
    def close(self) -> None:
        """End the arguments here, so that the written text is valid JSON."""
