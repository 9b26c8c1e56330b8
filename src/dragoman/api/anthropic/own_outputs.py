"""Reads what this server's own tools returned from the blocks that a client sends back.

What the model reads of a search hit comes from its signed `encrypted_content`; where that is damaged, from what the client can
see of it. Everything else stands in the blocks as the model reads it.
"""

from typing import Any

from dragoman.api.anthropic.blocks import ServerToolBlock
from dragoman.api.anthropic.server_blocks import recovered_hit
from dragoman.parts.server_tools import (
    FetchedPage,
    FoundTools,
    McpContent,
    SearchHit,
    SearchHits,
    ServerToolKind,
    ServerToolOutput,
    ToolFailure,
)


def output_of(block: ServerToolBlock) -> ServerToolOutput | None:
    """The output in the block of a result; None if it is not readable, or the block is of another type."""
    fields = block.model_extra or {}
    content = fields.get("content")
    match block.type:
        case "web_search_tool_result":
            return _searched(content)
        case "web_fetch_tool_result":
            return _fetched(content)
        case "tool_search_tool_result":
            return _found(block, content)
        case "mcp_tool_result":
            return _of_mcp(content, is_error=fields.get("is_error") is True)
        case _:
            return None


def _searched(content: Any) -> ServerToolOutput | None:
    match content:
        case {"type": "web_search_tool_result_error", "error_code": str(code)}:
            return ToolFailure(ServerToolKind.WEB_SEARCH, code)
        case list():
            hits = [_hit(entry) for entry in content]
            return SearchHits(tuple(hit for hit in hits if hit)) if all(hits) else None
        case _:
            return None


def _hit(entry: Any) -> SearchHit | None:
    match entry:
        case {"url": str(url), "title": str(title), **rest}:
            return recovered_hit(str(rest.get("encrypted_content"))) or SearchHit(url, title)
        case _:
            return None


def _fetched(content: Any) -> ServerToolOutput | None:
    match content:
        case {"type": "web_fetch_tool_result_error", "error_code": str(code)}:
            return ToolFailure(ServerToolKind.WEB_FETCH, code)
        case {"url": str(url), "content": {"source": {"type": "text" | "base64" as kind, "data": str(data)}, **document}}:
            cites = document.get("citations") == {"enabled": True}
            return FetchedPage(url, str(document.get("title") or ""), data, is_pdf=kind == "base64", cites=cites)
        case _:
            return None


def _found(block: ServerToolBlock, content: Any) -> ServerToolOutput | None:
    match content:
        case {"type": "tool_search_tool_result_error", "error_code": str(code), **rest}:
            return ToolFailure(ServerToolKind.TOOL_SEARCH, code, str(rest.get("error_message") or ""))
        case {"tool_references": list()}:
            return FoundTools(tuple(block.found_tools))
        case _:
            return None


def _of_mcp(content: Any, *, is_error: bool) -> ServerToolOutput | None:
    match content:
        case str():
            return McpContent((content,), is_error)
        case list():
            texts = [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
            return McpContent(tuple(texts), is_error)
        case _:
            return None
