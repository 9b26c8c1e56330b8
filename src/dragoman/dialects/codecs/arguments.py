"""What a block of calls asks of the reader of one call's arguments."""

from abc import ABC, abstractmethod


class ArgumentReader(ABC):
    """Turns the arguments of one call, as they are written, into one JSON object.

    `out` holds the JSON text written so far; the owner empties it. `done`: they are whole, and what closes them is consumed.
    `stuck`: what stands here is none of theirs; the owner decides.
    """

    def __init__(self) -> None:
        self.out: list[str] = []
        self.done = False
        self.stuck = False

    @abstractmethod
    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read on from `pos`; returns the end of what was consumed. `final`: no more text comes."""

    @property
    @abstractmethod
    def clean(self) -> bool:
        """If what stands here were a closer of the block, would no value be missing?"""

    @property
    @abstractmethod
    def may_end(self) -> bool:
        """If the output ended here, would no value be missing?"""

    @abstractmethod
    def close(self) -> None:
        """End here, so that what was written is valid JSON."""
