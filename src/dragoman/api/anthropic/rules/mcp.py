"""Rules for MCP servers and their toolsets (BETA-4)."""

from collections import Counter

from dragoman.api.anthropic.request import PromptRequest
from dragoman.api.anthropic.tools import McpToolset
from dragoman.api.mcp_urls import AllowsUrl, check_mcp_url
from dragoman.errors import InvalidRequest


def check_mcp(request: PromptRequest, allows: AllowsUrl) -> None:
    """Check the servers, and that each toolset belongs to one of them."""
    servers = {server.name: server for server in request.mcp_servers or ()}
    for index, server in enumerate(request.mcp_servers or ()):
        check_mcp_url(server.url, f"mcp_servers.{index}.url", allows)
    if len(servers) < len(request.mcp_servers or ()):
        raise InvalidRequest.at("mcp_servers", "MCP server names must be unique")
    toolsets = [(index, tool) for index, tool in enumerate(request.tools or ()) if isinstance(tool, McpToolset)]
    uses = Counter(toolset.mcp_server_name for _, toolset in toolsets)
    for index, toolset in toolsets:
        path, name = f"tools.{index}.mcp_toolset.mcp_server_name", toolset.mcp_server_name
        if name not in servers:
            raise InvalidRequest.at(path, f"MCP server '{name}' not found in `mcp_servers`")
        if uses[name] > 1:
            raise InvalidRequest.at(path, f"MCP server '{name}' has more than one toolset")
        if servers[name].tool_configuration is not None:
            raise InvalidRequest.at(path, f"MCP server '{name}' has a `tool_configuration`, which excludes a toolset")
