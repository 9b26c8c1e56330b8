"""MCP servers and their tools, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server as a request names it. The token is sent as a bearer token, and the headers as they are."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server lists it; `schema` is not checked."""

    name: str
    description: str
    schema: Mapping[str, Any]


class McpFailure(Exception):
    """A server cannot be used; the message completes a sentence about it: `it …`."""
