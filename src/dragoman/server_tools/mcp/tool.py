"""A tool of an MCP server as a tool that this server runs."""

from typing import Any, Final

import msgspec

from dragoman.conversation import Dialogue, Tool
from dragoman.conversation.mcp_names import mcp_tool_name
from dragoman.conversation.types import JsonObject
from dragoman.parts.server_tools import McpContent, ServerCallStart, ServerToolKind, ServerToolOutput, own_call_id
from dragoman.server_tools.base import ServerTool
from dragoman.server_tools.mcp.servers import ListedTool, McpFailure, McpServer

_SECONDS: Final = 60.0
_MARGIN: Final = 5.0
"""Seconds that are left to say that a server is too slow."""
_MOST_CHARACTERS: Final = 100_000
_REASONS: Final = {"invalid_tool_input": "The input does not match the schema of the tool."}
_NO_DETAILS: Final = "The tool does not work at the moment."


class McpTool(ServerTool):
    """A tool of an MCP server. Failures are results with a text."""

    kind = ServerToolKind.MCP
    id_prefix = "mcptoolu_"

    def __init__(self, server: McpServer, listed: ListedTool, seconds: float = _SECONDS) -> None:
        super().__init__(mcp_tool_name(server.name, listed.name), listed.description, listed.schema)
        self._server = server
        self._listed = listed
        self.seconds = seconds + _MARGIN
        self._call_seconds = seconds

    @property
    def listed(self) -> Tool:
        """The tool as its server lists it."""
        return Tool(self._listed.name, self.description, self.schema)

    def call_start(self, call_id: str) -> ServerCallStart:
        """The start of a call, with the names of the server and of the tool on it."""
        identifier = own_call_id(self.id_prefix, call_id)
        return ServerCallStart(self.kind, self._listed.name, identifier, self._server.name)

    async def run(self, call: JsonObject, dialogue: Dialogue) -> ServerToolOutput:
        """Call the tool on its server."""
        from dragoman.server_tools.mcp.client import call_tool  # noqa: PLC0415 -- an optional dependency

        arguments: dict[str, Any] = msgspec.to_builtins(call)
        try:
            texts, is_error = await call_tool(self._server, self._listed.name, arguments, self._call_seconds)
        except McpFailure as failure:
            return _failed(f"The MCP server {self._server.name} {failure}.")
        if sum(map(len, texts)) > _MOST_CHARACTERS:
            return _failed(f"The result has more than {_MOST_CHARACTERS:,} characters: ask for less.")
        return McpContent(tuple(texts), is_error)

    def failure(self, code: str) -> ServerToolOutput:
        """The result of a call that failed outside of `run`."""
        return _failed(_REASONS.get(code, _NO_DETAILS))


def _failed(reason: str) -> McpContent:
    return McpContent((reason,), is_error=True)
