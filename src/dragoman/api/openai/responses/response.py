"""A response and its output items."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.api.openai.responses.citations import UrlCitation
from dragoman.api.openai.responses.stored import StoredInput
from dragoman.api.openai.responses.tools import ToolName
from dragoman.conversation import TokenReport
from dragoman.parts import TokenCounts


class OutputText(Struct, frozen=True, tag="output_text"):
    """The text of a message."""

    text: str = ""
    annotations: Sequence[UrlCitation] = ()
    logprobs: Sequence[Any] = ()


class ReasoningText(Struct, frozen=True, tag="reasoning_text"):
    """The text of reasoning."""

    text: str = ""


class SummaryText(Struct, frozen=True, tag="summary_text"):
    """A summary of reasoning."""

    text: str = ""


class MessageItem(Struct, frozen=True, tag="message"):
    """A message for the user."""

    id: str
    status: str = "in_progress"
    content: Sequence[OutputText] = ()
    role: str = "assistant"


class ReasoningOut(Struct, frozen=True, tag="reasoning"):
    """Reasoning. `encrypted_content` contains its text, so that a client can send it back without reading it."""

    id: str
    status: str = "in_progress"
    summary: Sequence[SummaryText] = ()
    content: Sequence[ReasoningText] | UnsetType = UNSET
    encrypted_content: str | None = None


class FunctionCallItem(Struct, frozen=True, tag="function_call"):
    """A call of a function. `arguments` is JSON text; of a call that was cut, the part that was written."""

    id: str
    call_id: str
    name: str
    status: str = "in_progress"
    arguments: str = ""
    namespace: str | UnsetType = UNSET


class CustomToolCallItem(Struct, frozen=True, tag="custom_tool_call"):
    """A call of a custom tool, with plain text as its input."""

    id: str
    call_id: str
    name: str
    status: str = "in_progress"
    input: str = ""
    namespace: str | UnsetType = UNSET


class SearchSource(Struct, frozen=True, tag="url"):
    """A page that a search found."""

    url: str


class SearchAction(Struct, frozen=True, tag="search"):
    """What was searched for, and what was found."""

    query: str = ""
    queries: Sequence[str] = ()
    sources: Sequence[SearchSource] = ()


class WebSearchItem(Struct, frozen=True, tag="web_search_call"):
    """A web search that the server made. `encrypted_content` contains what the model read."""

    id: str
    status: str = "in_progress"
    action: SearchAction = SearchAction()
    encrypted_content: str | UnsetType = UNSET


class ListedMcpTool(Struct, frozen=True):
    """A tool as its MCP server lists it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    annotations: None = None


class McpListItem(Struct, frozen=True, tag="mcp_list_tools"):
    """The tools of an MCP server."""

    id: str
    server_label: str
    tools: Sequence[ListedMcpTool] = ()
    error: None = None


class McpErrorText(Struct, frozen=True, tag="text"):
    """A text of a failure."""

    text: str


class McpCallError(Struct, frozen=True, tag="mcp_tool_execution_error"):
    """Why a call of a tool of an MCP server failed."""

    content: Sequence[McpErrorText]


class McpCallItem(Struct, frozen=True, tag="mcp_call"):
    """A call of a tool of an MCP server, and its result. `arguments` is JSON text."""

    id: str
    name: str
    server_label: str
    arguments: str = ""
    status: str = "in_progress"
    output: str | None = None
    error: McpCallError | None = None
    approval_request_id: None = None


OutputItem = MessageItem | ReasoningOut | FunctionCallItem | CustomToolCallItem | WebSearchItem | McpListItem | McpCallItem


class InputDetails(Struct, frozen=True):
    """The number of input tokens that came from the cache."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """The number of output tokens that were reasoning."""

    reasoning_tokens: int = 0


class Usage(Struct, frozen=True):
    """Token counts. Cached tokens are included in the input, reasoning tokens in the output."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, counts: TokenCounts) -> "Usage":
        """The usage of these counts."""
        return cls(
            counts.prompt,
            InputDetails(counts.cached),
            counts.output,
            OutputDetails(counts.thinking),
            counts.prompt + counts.output,
        )


class IncompleteDetails(Struct, frozen=True):
    """Why a response is incomplete."""

    reason: str


class ResponseError(Struct, frozen=True):
    """Why a response failed."""

    code: str
    message: str


class ReasoningEcho(Struct, frozen=True):
    """The reasoning options of the request."""

    effort: str | None = None
    summary: str | None = None


class Response(Struct, frozen=True, tag_field="object", tag="response"):
    """A response. Most fields repeat those of the request; times are in seconds since the epoch."""

    model: str
    id: str = ""
    created_at: int = 0
    status: str = "in_progress"
    completed_at: int | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    output: Sequence[OutputItem] = ()
    usage: Usage | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    metadata: Mapping[str, str] = {}
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    reasoning: ReasoningEcho = ReasoningEcho()
    safety_identifier: str | None = None
    store: bool = True
    temperature: float | None = None
    text: Raw = Raw(b'{"format":{"type":"text"}}')
    tool_choice: Raw = Raw(b'"auto"')
    tools: Raw = Raw(b"[]")
    top_logprobs: int = 0
    top_p: float | None = None
    truncation: str = "disabled"
    user: str | None = None
    background: bool = False


class Reply(Struct, frozen=True):
    """What the encoder needs of a request: the response before it began, and the names of its tools by those for the model.

    `summarized`: reasoning is sent as a summary, not as its text. `given` are the items of the request, if they are stored.
    `report` says whether the text has the log-probabilities of its tokens. `listed` are the labels of the MCP servers whose
    tools the conversation lists already.
    """

    response: Response
    names: Mapping[str, ToolName] = {}
    summarized: bool = False
    given: Sequence[StoredInput] = ()
    report: TokenReport = TokenReport()
    listed: frozenset[str] = frozenset()
