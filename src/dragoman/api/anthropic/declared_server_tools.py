"""Lowers the declarations of tools that the server runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from dragoman.api.anthropic.blocks import ServerToolBlock
from dragoman.api.anthropic.request import PromptRequest
from dragoman.api.anthropic.tools import (
    McpServer,
    McpToolset,
    ServerTool,
    SomeTools,
    ToolFilter,
    ToolSearchTool,
    WebFetchTool,
    WebSearchTool,
)
from dragoman.conversation.server_tools import (
    DeclaredServerTool,
    ResultFilter,
    ToolSearch,
    UserLocation,
    WebFetch,
    WebSearch,
)
from dragoman.conversation.server_tools import McpToolset as NeutralToolset

_RESULTS_WITH_URLS = frozenset({"web_search", "web_fetch"})
"""The tools of the server whose results contain URLs that may be fetched."""


def declared_server_tools(request: PromptRequest) -> Sequence[DeclaredServerTool]:
    """The tools that the request lets the server run. MCP servers without a toolset come last, with all of their tools."""
    declared = [_lowered(tool, request) for tool in request.tools or () if isinstance(tool, ServerTool)]
    with_toolset = {tool.mcp_server_name for tool in request.tools or () if isinstance(tool, McpToolset)}
    others = [
        _configured(server, f"mcp_servers.{index}.url")
        for index, server in enumerate(request.mcp_servers or ())
        if server.name not in with_toolset
    ]
    return (*declared, *(toolset for toolset in others if toolset))


def _lowered(tool: ServerTool, request: PromptRequest) -> DeclaredServerTool:
    match tool:
        case WebSearchTool(user_location=place):
            location, cites = UserLocation.of(place), request.format is None
            return WebSearch(
                tool.max_uses, tuple(tool.allowed_domains or ()), tuple(tool.blocked_domains or ()), location, cites
            )
        case WebFetchTool():
            return _fetch(tool, request)
        case ToolSearchTool():
            return ToolSearch(tool.name, dict(_found(request)))
        case McpToolset():
            return _toolset(tool, request)
        case _:
            assert_never(tool)


def _fetch(tool: WebFetchTool, request: PromptRequest) -> WebFetch:
    sources = tool.url_sources
    user = sources.user_input if sources else None
    return WebFetch(
        tool.max_uses,
        tool.max_content_tokens,
        tuple(tool.allowed_domains or ()),
        tuple(tool.blocked_domains or ()),
        from_user=user is None or user.type == "all",
        from_results=_counted_results(tool, request),
        cites=tool.wants_citations,
    )


def _counted_results(tool: WebFetchTool, request: PromptRequest) -> ResultFilter:
    """Of which tools the results count: those of the client and of the server are filtered separately."""
    sources = tool.url_sources
    if sources is None or (sources.client_tool_results is None and sources.server_tool_results is None):
        return ResultFilter()
    own = {other.name for other in request.tools or () if not isinstance(other, ServerTool) and other.name}
    counted = {name for name in own if _passes(sources.client_tool_results, name)}
    counted |= {name for name in _RESULTS_WITH_URLS if _passes(sources.server_tool_results, name)}
    return ResultFilter(frozenset(counted), only=True)


def _passes(rule: ToolFilter | None, name: str) -> bool:
    match rule:
        case None:
            return True
        case SomeTools(type=kind, tools=tools):
            return (name in {tool.name for tool in tools}) is (kind == "only")
        case _:
            return rule.type == "all"


def _found(request: PromptRequest) -> Iterator[tuple[str, Sequence[str]]]:
    """The ids of the calls of earlier searches, and what they found."""
    for _, block in request.walk(frozenset({ServerToolBlock})):
        if isinstance(block, ServerToolBlock) and block.found_tools:
            yield str((block.model_extra or {}).get("tool_use_id")), block.found_tools


def _toolset(tool: McpToolset, request: PromptRequest) -> NeutralToolset:
    index, server = next(
        (index, server) for index, server in enumerate(request.mcp_servers or ()) if server.name == tool.mcp_server_name
    )
    default, configs = tool.default_config, tool.configs or {}
    listed = [(each.name, each.description or "", each.input_schema) for each in tool.tools or ()]
    return NeutralToolset(
        server.name,
        server.url,
        f"mcp_servers.{index}.url",
        server.authorization_token,
        {name: config.enabled for name, config in configs.items() if config.enabled is not None},
        default is None or default.enabled is not False,
        {name: config.defer_loading for name, config in configs.items() if config.defer_loading is not None},
        bool(default and default.defer_loading),
        listed if tool.tools is not None else None,
    )


def _configured(server: McpServer, path: str) -> NeutralToolset | None:
    """The tools of a server in the older form; None if they are switched off."""
    configuration = server.tool_configuration
    if configuration is None:
        return NeutralToolset(server.name, server.url, path, server.authorization_token)
    if configuration.enabled is False:
        return None
    allowed: Mapping[str, Any] = dict.fromkeys(configuration.allowed_tools or (), True)
    every = configuration.allowed_tools is None
    return NeutralToolset(server.name, server.url, path, server.authorization_token, allowed, every)
