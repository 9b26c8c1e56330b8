"""An MCP server with one tool on this machine, by which a check sees whether the examined server calls it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

_VERSION: Final = "2025-06-18"
_TOOL: Final = {
    "name": "departure",
    "description": "Tells when the ferry leaves.",
    "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
}
_NO_METHOD: Final = {"code": -32601, "message": "Method not found"}


class McpServer:
    """The server. `calls` counts the calls of its tool."""

    def __init__(self) -> None:
        self.url = ""
        self.calls = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a message of the protocol; there are no streams."""
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        result = self._result(message)
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], **(result or {"error": _NO_METHOD})})

    def _result(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        match message.get("method"):
            case "initialize":
                about = {"serverInfo": {"name": "doctor", "version": "1"}, "capabilities": {"tools": {}}}
                return {"result": {"protocolVersion": _VERSION, **about}}
            case "tools/list":
                return {"result": {"tools": [_TOOL]}}
            case "tools/call":
                self.calls += 1
                return {"result": {"content": [{"type": "text", "text": "The ferry leaves at noon."}]}}
            case "ping":
                return {"result": {}}
            case _:
                return None


@asynccontextmanager
async def mcp_server() -> AsyncIterator[McpServer]:
    """Run the server on a free port of this machine."""
    server = McpServer()
    app = web.Application()
    app.router.add_route("*", "/mcp", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
        yield server
    finally:
        await runner.cleanup()
