"""The interface between the parser and the readers of calls."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from dragoman.conversation.types import JsonObject
from dragoman.json_schema.view import SchemaView
from dragoman.parts import Part


@dataclass(frozen=True, slots=True)
class Context:
    """The data of one generation that its readers share."""

    tools: Mapping[str, JsonObject]
    """The schemas of the declared tools, by name."""
    repairs: list[str]
    """The names of the repairs, to which readers append."""
    ends: tuple[str, ...] = ()
    """The closers of reasoning: if one comes before a call has begun, the opener was only mentioned."""
    _views: dict[str, SchemaView] = field(default_factory=dict, compare=False)

    def view(self, tool: str) -> SchemaView:
        """The schema of a declared tool's arguments, built once per generation."""
        if tool not in self._views:
            self._views[tool] = SchemaView(self.tools[tool])
        return self._views[tool]


class CallReader(ABC):
    """Reads one block of calls, from after its opener to after its closer, as the text arrives.

    It appends parts to `out`: `CallStart`, `CallDelta` and `CallEnd` for a call of a declared tool, each as soon as it is
    known, and `Text` for anything that is not a call: every character of it, the opener included. `CallEnd` always comes, with
    `finish` at the latest. Once the reader is `done`, the rest of the text is not part of the block.
    """

    done: bool = False

    refused: bool = False
    """Whether the block was given up before its closer because it is not a call; the closer is then text as well."""

    @abstractmethod
    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """Read from `pos` on; returns the end of what was consumed.

        That is before the text's end if the block is `done`, or if the last few characters are undecided: the caller passes
        these again, with more text after them.
        """

    @abstractmethod
    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """Read the end: `tail` is the text that was left undecided. `cut`: a limit ended the output, not the model."""
