"""Searches the tools that are not listed at the top of the prompt (TOOL-12)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dragoman.conversation import Dialogue, Text, Tool
from dragoman.conversation.tool_texts import described
from dragoman.conversation.types import JsonObject
from dragoman.parts.server_tools import FoundTools, ServerToolKind, ServerToolOutput, ToolFailure
from dragoman.server_tools.text_tool import TextTool
from dragoman.server_tools.tool_matching import MOST_FOUND, MOST_PATTERN, MOST_QUERY, InvalidPattern, by_pattern, by_words

_SECONDS: Final = 10.0
_LONGEST: Final = 200
"""Characters of the input of a constrained call."""


@dataclass(frozen=True, slots=True)
class _Method:
    """A way to search. `field` is the only field of the input, with at most `longest` characters."""

    field: str
    longest: int
    description: str
    search: Callable[[str, Sequence[Tool]], list[str]]


REGEX: Final = "tool_search_tool_regex"
BM25: Final = "tool_search_tool_bm25"
_METHODS: Final[Mapping[str, _Method]] = {
    REGEX: _Method(
        "pattern",
        MOST_PATTERN,
        "A regular expression that is searched for in names and descriptions, such as `weather` or `get_.*_data`.",
        by_pattern,
    ),
    BM25: _Method("query", MOST_QUERY, "What the tool should do, in a few words.", by_words),
}
_DESCRIPTION: Final = (
    "Find more tools. Other tools exist that are not listed here; this one searches their names, descriptions and arguments, "
    f"and gives up to {MOST_FOUND} tools, which you can call from then on. Use it before you say that you cannot do something."
)


class ToolSearchTool(TextTool):
    """Searches `tools` by a regular expression (`name` is `REGEX`) or by words (`BM25`)."""

    kind = ServerToolKind.TOOL_SEARCH
    seconds = _SECONDS

    def __init__(self, name: str, tools: Sequence[Tool]) -> None:
        method = self._method = _METHODS[name]
        super().__init__(name, _DESCRIPTION, method.field, method.description, min(method.longest, _LONGEST))
        self._tools = {tool.name: tool for tool in tools}

    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        """Search, in a thread: thousands of tools take longer than the event loop may wait."""
        wanted = call[self._method.field]
        if len(wanted) > self._method.longest:
            return ToolFailure(self.kind, "invalid_tool_input", f"more than {self._method.longest} characters")
        try:
            names = await asyncio.to_thread(self._method.search, wanted, tuple(self._tools.values()))
        except InvalidPattern as error:
            return ToolFailure(self.kind, "invalid_tool_input", f"Invalid regular expression pattern: {error}")
        return FoundTools(tuple(names))

    def found(self, output: ServerToolOutput) -> Sequence[Tool]:
        """The tools that were found."""
        return [self._tools[name] for name in output.names] if isinstance(output, FoundTools) else ()

    def for_model(self, output: ServerToolOutput) -> Sequence[Text]:
        """The descriptions of the found tools."""
        if isinstance(output, FoundTools) and output.names:
            return (Text("\n".join(described(name, self._tools) for name in output.names)),)
        return (Text(output.text),)
