"""The interface of a codec: one notation of a call's arguments, with its reader, its writer and its constraint."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dragoman.constraints.tree import Node
from dragoman.dialects.codecs.rules import Rules
from dragoman.json_schema.references import Schema
from dragoman.json_schema.view import SchemaView


@dataclass(frozen=True, slots=True)
class CallTags:
    """The markup around the arguments of a call, which can end them."""

    opens: tuple[str, ...]
    """The openers of a block of calls; the first one is written."""
    closes: tuple[str, ...]
    """The closers of a block."""
    call_open: str = ""
    """The opener of a call inside its block."""
    call_close: str = ""
    """The closer of such a call."""
    skips: tuple[str, ...] = ()
    """Other texts that may stand between two calls."""

    @property
    def open(self) -> str:
        """The opener of a block that is written, or ""."""
        return self.opens[0] if self.opens else ""

    @property
    def close(self) -> str:
        """The closer of a block that is written, or ""."""
        return self.closes[0] if self.closes else ""


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
        """Read from `pos` on; returns the end of what was consumed, before the text's end if the rest is undecided.

        `final`: no more text comes.
        """

    @property
    @abstractmethod
    def clean(self) -> bool:
        """Whether no value would be incomplete if the block were closed here."""

    @property
    @abstractmethod
    def may_end(self) -> bool:
        """Whether no value would be incomplete if the output ended here."""

    @property
    def whole(self) -> bool:
        """Whether the arguments have been read to their end, even if the call has not."""
        return self.done

    @abstractmethod
    def close(self) -> None:
        """End the arguments here, so that the written text is valid JSON."""


class Codec(ABC):
    """One notation of arguments. A subclass is a frozen dataclass whose fields are what differs between families."""

    __slots__ = ()

    bracketed: ClassVar[bool] = True
    """Whether a bracket of the notation ends the arguments; else the markup of the call does (`CallTags`)."""
    superfluous: ClassVar[str] = ""
    """Characters that models add after the last bracket; they are dropped."""

    @property
    def begins(self) -> str:
        """The text with which arguments begin; it ends a name that lacks its own end."""
        return "{"

    @abstractmethod
    def reader(self, tags: CallTags, view: SchemaView, repairs: list[str]) -> ArgumentReader:
        """A reader for one call. `view` is the schema of the tool; the names of repairs are appended to `repairs`."""

    @abstractmethod
    def write(self, arguments: Mapping[str, Any]) -> str:
        """The arguments of one call, from after its name up to its closer."""

    @abstractmethod
    def constraint(self, schema: Schema, rules: Rules) -> Node:
        """What the model may write there for arguments of this schema, an object; recursive parts go into `rules`."""
