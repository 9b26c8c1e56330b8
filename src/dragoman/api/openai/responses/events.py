"""The events of a stream, and their server-sent event frames."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.responses.citations import UrlCitation
from dragoman.api.openai.responses.response import OutputItem, OutputText, ReasoningText, Response, SummaryText
from dragoman.errors import DragomanError


class Numbered(Struct, frozen=True):
    """An event; `sequence_number` counts the events of a stream from 0."""

    sequence_number: int


class Lifecycle(Numbered, frozen=True):
    """An event with the response as it is now."""

    response: Response


class Created(Lifecycle, frozen=True, tag="response.created"):
    """The response was accepted."""


class InProgress(Lifecycle, frozen=True, tag="response.in_progress"):
    """The response is being generated."""


class Completed(Lifecycle, frozen=True, tag="response.completed"):
    """The response is complete."""


class Incomplete(Lifecycle, frozen=True, tag="response.incomplete"):
    """The response reached a limit."""


class Failed(Lifecycle, frozen=True, tag="response.failed"):
    """The response failed."""


class ErrorEvent(Numbered, frozen=True, tag="error"):
    """The request failed before the response began."""

    message: str
    code: str | None
    param: str | None

    @classmethod
    def of(cls, error: DragomanError, number: int) -> "ErrorEvent":
        """The event for one of our errors."""
        body = ErrorBody.of(error, "").error
        return cls(number, body.message, body.code, body.param)


class Keepalive(Numbered, frozen=True, tag="keepalive"):
    """Keeps a silent stream alive: a comment would not, as some clients wait only for events."""


class OfItem(Numbered, frozen=True):
    """An event of an output item."""

    output_index: int


class ItemAdded(OfItem, frozen=True, tag="response.output_item.added"):
    """An item begins."""

    item: OutputItem


class ItemDone(OfItem, frozen=True, tag="response.output_item.done"):
    """An item is complete."""

    item: OutputItem


class InItem(OfItem, frozen=True):
    """An event of something in an item."""

    item_id: str


class PartAdded(InItem, frozen=True, tag="response.content_part.added"):
    """A part of an item's content begins."""

    part: OutputText | ReasoningText
    content_index: int = 0


class PartDone(InItem, frozen=True, tag="response.content_part.done"):
    """A part of an item's content is complete."""

    part: OutputText | ReasoningText
    content_index: int = 0


class TextDelta(InItem, frozen=True, tag="response.output_text.delta"):
    """More text of a message."""

    delta: str
    content_index: int = 0
    logprobs: Sequence[Any] = ()


class AnnotationAdded(InItem, frozen=True, tag="response.output_text.annotation.added"):
    """A citation in the text that was written last."""

    annotation: UrlCitation
    annotation_index: int
    content_index: int = 0


class TextDone(InItem, frozen=True, tag="response.output_text.done"):
    """The whole text of a message."""

    text: str
    content_index: int = 0
    logprobs: Sequence[Any] = ()


class ReasoningDelta(InItem, frozen=True, tag="response.reasoning_text.delta"):
    """More reasoning."""

    delta: str
    content_index: int = 0


class ReasoningDone(InItem, frozen=True, tag="response.reasoning_text.done"):
    """The whole reasoning of an item."""

    text: str
    content_index: int = 0


class SummaryPartAdded(InItem, frozen=True, tag="response.reasoning_summary_part.added"):
    """A part of a summary begins."""

    part: SummaryText
    summary_index: int = 0


class SummaryPartDone(InItem, frozen=True, tag="response.reasoning_summary_part.done"):
    """A part of a summary is complete."""

    part: SummaryText
    summary_index: int = 0


class SummaryDelta(InItem, frozen=True, tag="response.reasoning_summary_text.delta"):
    """More of a summary."""

    delta: str
    summary_index: int = 0


class SummaryDone(InItem, frozen=True, tag="response.reasoning_summary_text.done"):
    """The whole summary."""

    text: str
    summary_index: int = 0


class ArgumentsDelta(InItem, frozen=True, tag="response.function_call_arguments.delta"):
    """More of the arguments of a call."""

    delta: str


class ArgumentsDone(InItem, frozen=True, tag="response.function_call_arguments.done"):
    """The arguments of a call."""

    arguments: str
    name: str


class InputDelta(InItem, frozen=True, tag="response.custom_tool_call_input.delta"):
    """More of the input of a custom tool call."""

    delta: str


class InputDone(InItem, frozen=True, tag="response.custom_tool_call_input.done"):
    """The input of a custom tool call."""

    input: str


class SearchInProgress(InItem, frozen=True, tag="response.web_search_call.in_progress"):
    """A web search begins."""


class SearchSearching(InItem, frozen=True, tag="response.web_search_call.searching"):
    """The provider is asked."""


class SearchCompleted(InItem, frozen=True, tag="response.web_search_call.completed"):
    """The provider has answered."""


class McpListInProgress(InItem, frozen=True, tag="response.mcp_list_tools.in_progress"):
    """The tools of an MCP server are being listed."""


class McpListCompleted(InItem, frozen=True, tag="response.mcp_list_tools.completed"):
    """The tools of an MCP server are listed."""


class McpCallInProgress(InItem, frozen=True, tag="response.mcp_call.in_progress"):
    """A call of a tool of an MCP server begins."""


class McpArgumentsDelta(InItem, frozen=True, tag="response.mcp_call_arguments.delta"):
    """More of the arguments of such a call."""

    delta: str


class McpArgumentsDone(InItem, frozen=True, tag="response.mcp_call_arguments.done"):
    """The arguments of such a call."""

    arguments: str


class McpCallCompleted(InItem, frozen=True, tag="response.mcp_call.completed"):
    """The MCP server has answered."""


class McpCallFailed(InItem, frozen=True, tag="response.mcp_call.failed"):
    """The call failed."""


Event = Numbered
_encode = msgspec.json.Encoder().encode


def frame(event: Event) -> bytes:
    """The event as a server-sent event, whose name is its type."""
    return framed(str(event.__struct_config__.tag), _encode(event))


def error_frame(error: DragomanError, _: str) -> bytes:
    """The last event of a stream that ends without its encoder. The ids of requests are in no event of this format."""
    return frame(ErrorEvent.of(error, 0))


def framed(name: str, data: bytes) -> bytes:
    """A server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
