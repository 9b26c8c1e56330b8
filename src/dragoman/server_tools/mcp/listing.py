"""Keeps what MCP servers list for a while, so that a conversation asks once and its prompts begin alike."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from dragoman.json_schema.validation import validator
from dragoman.limits import DEFAULT
from dragoman.server_tools.mcp.servers import ListedTool, McpServer

_KEPT_SECONDS: Final = 600.0
_MOST_KEPT: Final = 200
_ANY_OBJECT: Final = {"type": "object"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Listing:
    tools: Sequence[ListedTool]
    until: float


class McpListings:
    """The listings of servers, by URL and token."""

    def __init__(self, seconds: float = _KEPT_SECONDS) -> None:
        self._seconds = seconds
        self._kept: dict[McpServer, _Listing] = {}

    async def of(self, server: McpServer) -> Sequence[ListedTool]:
        """The tools of a server. Raises `McpFailure`."""
        from dragoman.server_tools.mcp.client import list_tools  # noqa: PLC0415 -- an optional dependency

        kept = self._kept.pop(server, None)
        if kept is None or kept.until < time.monotonic():
            listed = await list_tools(server)
            tools = await asyncio.to_thread(lambda: [_usable(tool) for tool in listed])
            kept = _Listing(tools, time.monotonic() + self._seconds)
        self._kept[server] = kept
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept.tools


def _usable(tool: ListedTool) -> ListedTool:
    """The tool; a schema that is not one of an object, not valid, or too large for a request is left out."""
    schema = dict(tool.schema)
    if schema.get("type") == "object" and not DEFAULT.schema_excess(schema) and validator(schema) is not None:
        return tool
    _LOG.warning("the schema of the tool %s of an MCP server cannot be used; its input may be any object", tool.name)
    return replace(tool, schema=_ANY_OBJECT)
