"""MCP servers on this machine: one of the official package, and one that answers whatever a test wants."""

import asyncio
import json
import queue
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from aiohttp import web

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def official() -> "MCPServer[Any]":
    """A server of the official package with a few tools."""
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415 -- takes long, and most workers run no test of it

    server: MCPServer[Any] = MCPServer("weather", log_level="CRITICAL")

    @server.tool()
    def forecast(city: str, days: int = 1) -> str:
        """Tells the weather of a city."""
        return f"{city}: rain for {days} days"

    @server.tool()
    def broken() -> str:
        """Always fails."""
        raise ValueError("no data")

    @server.tool()
    def large(size: int) -> str:
        """Returns many characters."""
        return "x" * size

    @server.tool()
    async def never() -> str:
        """Never returns."""
        await asyncio.Event().wait()
        return ""

    return server


@asynccontextmanager
async def running(server: "MCPServer[Any]", *, sse: bool = False) -> AsyncGenerator[str]:
    """Serve it on a free port, and yield its URL."""
    app = server.sse_app() if sse else server.streamable_http_app()
    listener = socket.create_server(("127.0.0.1", 0))
    runner = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=0))
    task = asyncio.create_task(runner.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/{'sse' if sse else 'mcp'}"
    runner.should_exit = True
    await task


@asynccontextmanager
async def answering(
    answer: Callable[[web.Request, dict[str, Any]], Any], schemas: Sequence[Any] = ({"type": "object"},)
) -> AsyncGenerator[str]:
    """Serve one whose answers to calls come from a function; it connects as it should, and lists a tool for each schema."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        message = json.loads(await request.read())
        match message["method"]:
            case "server/discover":
                return _json({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
            case "initialize":
                capabilities = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
                return _json({"id": message["id"], "result": {**capabilities, "serverInfo": {"name": "x", "version": "1"}}})
            case "tools/list":
                tools = [{"name": "t" * number, "inputSchema": schema} for number, schema in enumerate(schemas, 1)]
                return _json({"id": message["id"], "result": {"tools": tools}})
            case _ if "id" not in message:
                return web.Response(status=202)
        answered: web.StreamResponse = await answer(request, message)
        return answered

    app = web.Application()
    app.router.add_route("*", "/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def _json(message: dict[str, Any]) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", **message})


@contextmanager
def in_thread(serving: AbstractAsyncContextManager[str]) -> Iterator[str]:
    """Run one of these servers in a thread with its own event loop, for tests that are not asynchronous."""
    started: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        async with serving as url:
            ended = asyncio.Event()
            started.put((url, asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    url, loop, ended = started.get(timeout=30)
    yield url
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)
