"""Where requests may name MCP servers: at the hosts that the operator allows (BETA-4)."""

from collections.abc import Callable

from dragoman.errors import InvalidRequest

AllowsUrl = Callable[[str], bool]
"""Whether the operator allows requests to name an MCP server at a URL."""


def check_mcp_url(url: str, path: str, allows: AllowsUrl) -> None:
    """Raise `InvalidRequest` at `path` for a URL that is not allowed."""
    if not allows(url):
        reason = (
            "this server may not call an MCP server there: start it with `--mcp-host HOST` (or HOST:PORT) for each host "
            "that requests may name, or leave it out"
        )
        raise InvalidRequest.at(path, reason)
