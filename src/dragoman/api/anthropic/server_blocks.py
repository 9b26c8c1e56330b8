"""The blocks of tools that the server runs: their calls and their results, as answers contain them (TOOL-15).

A result comes whole with the start of its block. What the model reads of a hit is in `encrypted_content`, signed
like reasoning, so that a later request gives the model the same text (IN-12).
"""

from typing import Any, assert_never

from msgspec import Struct, field

from dragoman.api.sealed import sealed, unsealed
from dragoman.parts.server_tools import (
    FetchedPage,
    FoundTools,
    McpContent,
    SearchHit,
    SearchHits,
    ServerCallStart,
    ServerToolKind,
    ServerToolOutput,
    ToolFailure,
)


class Caller(Struct, frozen=True, tag="direct"):
    """The caller of a tool: always the model itself."""


class ServerToolUseOut(Struct, frozen=True, tag="server_tool_use"):
    """A call of a tool that the server runs."""

    id: str
    name: str
    input: dict[str, Any] = field(default_factory=dict)
    caller: Caller = field(default_factory=Caller)


class WebSearchHitOut(Struct, frozen=True, tag="web_search_result"):
    """One hit of a search."""

    url: str
    title: str
    encrypted_content: str
    page_age: str | None = None


class WebSearchErrorOut(Struct, frozen=True, tag="web_search_tool_result_error"):
    """A search that failed."""

    error_code: str


class WebSearchResultOut(Struct, frozen=True, tag="web_search_tool_result"):
    """The result of a search."""

    tool_use_id: str
    content: list[WebSearchHitOut] | WebSearchErrorOut
    caller: Caller = field(default_factory=Caller)


class PdfSourceOut(Struct, frozen=True, tag="base64"):
    """A PDF."""

    data: str
    media_type: str = "application/pdf"


class TextSourceOut(Struct, frozen=True, tag="text"):
    """The text of a page."""

    data: str
    media_type: str = "text/plain"


class CitationsOut(Struct, frozen=True):
    """Whether citations were requested."""

    enabled: bool


class DocumentOut(Struct, frozen=True, tag="document"):
    """A page as a document."""

    source: PdfSourceOut | TextSourceOut
    title: str | None = None
    citations: CitationsOut | None = None


class WebFetchPageOut(Struct, frozen=True, tag="web_fetch_result"):
    """What was fetched."""

    url: str
    content: DocumentOut
    retrieved_at: str | None = None


class WebFetchErrorOut(Struct, frozen=True, tag="web_fetch_tool_result_error"):
    """A page that was not fetched."""

    error_code: str


class WebFetchResultOut(Struct, frozen=True, tag="web_fetch_tool_result"):
    """The result of fetching a URL."""

    tool_use_id: str
    content: WebFetchPageOut | WebFetchErrorOut
    caller: Caller = field(default_factory=Caller)


class ToolReferenceOut(Struct, frozen=True, tag="tool_reference"):
    """A tool that was found."""

    tool_name: str


class ToolSearchFoundOut(Struct, frozen=True, tag="tool_search_tool_search_result"):
    """The tools that were found."""

    tool_references: list[ToolReferenceOut]


class ToolSearchErrorOut(Struct, frozen=True, tag="tool_search_tool_result_error"):
    """A search for tools that failed."""

    error_code: str
    error_message: str | None = None


class ToolSearchResultOut(Struct, frozen=True, tag="tool_search_tool_result"):
    """The result of a search for tools."""

    tool_use_id: str
    content: ToolSearchFoundOut | ToolSearchErrorOut


class McpToolUseOut(Struct, frozen=True, tag="mcp_tool_use"):
    """A call of a tool of an MCP server."""

    id: str
    name: str
    server_name: str
    input: dict[str, Any] = field(default_factory=dict)


class McpTextOut(Struct, frozen=True, tag="text"):
    """A text in the result of a tool of an MCP server."""

    text: str
    citations: None = None


class McpResultOut(Struct, frozen=True, tag="mcp_tool_result"):
    """The result of a tool of an MCP server."""

    tool_use_id: str
    content: list[McpTextOut]
    is_error: bool = False


ServerCallOut = ServerToolUseOut | McpToolUseOut
ServerResultOut = WebSearchResultOut | WebFetchResultOut | ToolSearchResultOut | McpResultOut


def call_block(call: ServerCallStart) -> ServerCallOut:
    """The block of a call, without its input."""
    if call.kind is ServerToolKind.MCP:
        return McpToolUseOut(call.id, call.name, call.server)
    return ServerToolUseOut(call.id, call.name)


def result_block(call_id: str, output: ServerToolOutput) -> ServerResultOut:
    """The block of a result."""
    match output:
        case SearchHits(hits):
            return WebSearchResultOut(call_id, [_hit(hit) for hit in hits])
        case FetchedPage():
            return WebFetchResultOut(call_id, _page(output))
        case FoundTools(names):
            return ToolSearchResultOut(call_id, ToolSearchFoundOut([ToolReferenceOut(name) for name in names]))
        case McpContent(texts, is_error):
            return McpResultOut(call_id, [McpTextOut(text) for text in texts], is_error)
        case ToolFailure():
            return _failure(call_id, output)
        case _:
            assert_never(output)


def _failure(call_id: str, failure: ToolFailure) -> ServerResultOut:
    match failure.kind:
        case ServerToolKind.WEB_SEARCH:
            return WebSearchResultOut(call_id, WebSearchErrorOut(failure.code))
        case ServerToolKind.WEB_FETCH:
            return WebFetchResultOut(call_id, WebFetchErrorOut(failure.code))
        case ServerToolKind.TOOL_SEARCH:
            return ToolSearchResultOut(call_id, ToolSearchErrorOut(failure.code, failure.message or None))
        case ServerToolKind.MCP:
            return McpResultOut(call_id, [McpTextOut(failure.text)], is_error=True)
        case _:
            assert_never(failure.kind)


def _page(page: FetchedPage) -> WebFetchPageOut:
    source = PdfSourceOut(page.content) if page.is_pdf else TextSourceOut(page.content)
    citations = CitationsOut(enabled=True) if page.cites else None
    return WebFetchPageOut(page.url, DocumentOut(source, page.title or None, citations), page.retrieved_at or None)


def _hit(hit: SearchHit) -> WebSearchHitOut:
    return WebSearchHitOut(hit.url, hit.title, sealed(hit), hit.age or None)


def recovered_hit(encrypted_content: str) -> SearchHit | None:
    """The hit in an `encrypted_content` of this server; None if it is damaged, or not ours."""
    return unsealed(encrypted_content, SearchHit)
