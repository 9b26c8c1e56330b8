"""What the parser asks of a codec."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from dragoman.conversation.types import JsonObject
from dragoman.json_schema.view import SchemaView
from dragoman.parts import Part


@dataclass(frozen=True, slots=True)
class Context:
    """What a reader knows of its turn: the declared tools' schemas by name, and the list that the names of repairs go to.

    `ends` are the closers of reasoning: where one comes before a block has really begun, the opener was a mere mention.
    """

    tools: Mapping[str, JsonObject]
    repairs: list[str]
    ends: tuple[str, ...] = ()
    _views: dict[str, SchemaView] = field(default_factory=dict, compare=False)

    def view(self, tool: str) -> SchemaView:
        """The schema of a declared tool's arguments, for all of its calls in this turn."""
        if tool not in self._views:
            self._views[tool] = SchemaView(self.tools[tool])
        return self._views[tool]


class CallReader(ABC):
    """Reads one block of calls, from behind its opener to behind its closer, as the text comes in.

    What it makes of the block it appends to `out`: `CallStart`, `CallDelta` and `CallEnd` for a call of a declared tool, each
    as soon as it is known, and `Text` for what turned out to be no call: every character of it, the opener included. `CallEnd`
    always comes, with `finish` at the latest. Once `done`, the rest of the text is not part of the block.
    """

    done: bool = False

    refused: bool = False
    """Was the block given up before its closer, as no call at all? Then the closer, when it comes, is text as well."""

    @abstractmethod
    def read(self, text: str, pos: int, out: list[Part]) -> int:
        """Read on from `pos`; returns the end of what was consumed.

        It is short of the text's end where the block is `done`, or where the last few characters are undecided: these are
        presented again, with more behind them.
        """

    @abstractmethod
    def finish(self, tail: str, out: list[Part], *, cut: bool) -> None:
        """No more text comes; `tail` is what was left undecided. `cut`: the output was ended by a limit, not by the model."""
