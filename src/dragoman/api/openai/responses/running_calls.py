"""Calls of tools that the server runs: as items that are written, and as earlier answers contain them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dragoman.api.openai.responses.events import Event
from dragoman.api.openai.responses.response import McpCallItem, WebSearchItem
from dragoman.conversation.types import ToolCall, ToolResult
from dragoman.parts.server_tools import ServerToolOutput


@dataclass(frozen=True, slots=True)
class DoneCall:
    """A call in an earlier answer, and what the model read of its result.

    `round` is that of the answer: calls of one round were made side by side. It is None where it is not known.
    """

    call: ToolCall
    result: ToolResult
    round: int | None


class RunningCall(ABC):
    """A call that is written, at `index` of the output; its input comes first, and later its result."""

    item: WebSearchItem | McpCallItem

    def __init__(self, index: int, numbers: Iterator[int]) -> None:
        self.index = index
        self.numbers = numbers

    def event(self, kind: Callable[..., Event], *fields: object) -> Event:
        """An event of the item."""
        return kind(next(self.numbers), self.index, self.item.id, *fields)

    @abstractmethod
    def begin(self) -> Iterator[Event]:
        """Yield the events with which it begins, before its input."""

    @abstractmethod
    def add(self, text: str) -> Iterator[Event]:
        """Yield the events for more of the input."""

    @abstractmethod
    def close(self) -> Iterator[Event]:
        """Yield the events for the end of the input."""

    @abstractmethod
    def end(self, output: ServerToolOutput) -> Iterator[Event]:
        """Yield the events with which it ends; from then on `item` is whole."""
