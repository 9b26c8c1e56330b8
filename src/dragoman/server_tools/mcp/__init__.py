"""Tools of MCP servers, which are listed and called over HTTP with the official `mcp` package, an optional dependency."""

import importlib.util


def is_installed() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("mcp") is not None
