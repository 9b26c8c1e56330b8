"""The items of calls of MCP servers' tools: their events, and how they are read in a later request.

The call and its result are one item, which holds all that the model reads of them. The id of an item of this server also says
in which round of the answer the call was made: calls of one round were made side by side.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from dragoman.api.openai.responses import events
from dragoman.api.openai.responses.events import Event
from dragoman.api.openai.responses.items import McpCall
from dragoman.api.openai.responses.response import McpCallError, McpCallItem, McpErrorText
from dragoman.api.openai.responses.running_calls import DoneCall, RunningCall
from dragoman.conversation.call_arguments import called_with
from dragoman.conversation.mcp_names import mcp_tool_name
from dragoman.conversation.types import ToolCall, ToolResult
from dragoman.parts.server_tools import McpContent, ServerCallStart, ServerToolOutput, is_failure

_ID: Final = re.compile(r"mcp_(?P<round>\d{1,9})_(?P<call>dgm\w+)")
_CALL_ID: Final = "mcptoolu_"
_NO_RESULT: Final = "The call has no result."


def done_call(item: McpCall, index: int) -> DoneCall:
    """The call of an item, which is at `index` of the input."""
    own = _ID.fullmatch(item.id or "")
    call_id = f"{_CALL_ID}{own['call']}" if own else item.id or f"{_CALL_ID}{index}"
    name = mcp_tool_name(item.server_label, item.name)
    failed = item.error is not None or item.output is None
    text = _error_text(item.error) if failed else item.output or ""
    result = ToolResult.of_text(call_id, name, text, is_error=failed)
    return DoneCall(ToolCall(call_id, name, called_with(item.arguments)), result, int(own["round"]) if own else None)


def _error_text(error: Any) -> str:
    match error:
        case None:
            return _NO_RESULT
        case str() | {"message": str()}:
            return error if isinstance(error, str) else str(error["message"])
        case {"content": [*parts]} if all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
            return "\n".join(part["text"] for part in parts)
        case _:
            return json.dumps(error, ensure_ascii=False)


class RunningMcpCall(RunningCall):
    """A call of a tool of an MCP server."""

    def __init__(self, start: ServerCallStart, index: int, round_: int, numbers: Iterator[int]) -> None:
        super().__init__(index, numbers)
        identifier = f"mcp_{round_}_{start.id.partition('_')[2]}"
        self.item: McpCallItem = McpCallItem(identifier, start.name, start.server)
        self._pieces: list[str] = []

    def begin(self) -> Iterator[Event]:
        """Yield the events with which the item begins."""
        yield events.ItemAdded(next(self.numbers), self.index, self.item)
        yield self.event(events.McpCallInProgress)

    def add(self, text: str) -> Iterator[Event]:
        """Yield the event for more of the arguments."""
        self._pieces.append(text)
        yield self.event(events.McpArgumentsDelta, text)

    def close(self) -> Iterator[Event]:
        """Yield the event with all arguments."""
        self.item = replace(self.item, arguments="".join(self._pieces))
        yield self.event(events.McpArgumentsDone, self.item.arguments)

    def end(self, output: ServerToolOutput) -> Iterator[Event]:
        """Yield the events with which it ends."""
        if is_failure(output):
            texts = output.texts if isinstance(output, McpContent) else (output.text,)
            error = McpCallError([McpErrorText(text) for text in texts])
            self.item = replace(self.item, status="failed", error=error)
            yield self.event(events.McpCallFailed)
        else:
            self.item = replace(self.item, status="completed", output=output.text)
            yield self.event(events.McpCallCompleted)
        yield events.ItemDone(next(self.numbers), self.index, self.item)
