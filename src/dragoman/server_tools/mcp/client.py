"""Lists and calls the tools of an MCP server. Each call has a connection of its own, with limits of time and size.

What a server answers is not trusted: a result of the wrong form, one that is too large or too late, and a connection that
breaks are failures with a reason, and nothing of a server's schemas is run.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from mcp import Client, MCPError, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from dragoman.server_tools.mcp.bounded_http import TooLarge, bounded_client
from dragoman.server_tools.mcp.servers import ListedTool, McpFailure, McpServer

MOST_BYTES: Final = 2_000_000
"""Bytes that a server may send during a call, or while it lists its tools."""
MOST_TOOLS: Final = 1_000
_MOST_PAGES: Final = 100
_LIST_SECONDS: Final = 20.0
_LONGEST_MESSAGE: Final = 300

for _library in ("mcp", "httpx2"):  # they log what servers send, and addresses; failures are reported here
    logging.getLogger(_library).setLevel(logging.CRITICAL)


async def list_tools(server: McpServer, seconds: float = _LIST_SECONDS, most_bytes: int = MOST_BYTES) -> Sequence[ListedTool]:
    """Return the tools of a server, in its order. Raises `McpFailure`."""
    found: list[ListedTool] = []
    async with _connected(server, seconds, most_bytes) as client:
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += [ListedTool(tool.name, tool.description or "", tool.input_schema) for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                return found
            if len(found) > MOST_TOOLS:
                break
    raise McpFailure(f"lists more than {MOST_TOOLS} tools")


async def call_tool(
    server: McpServer, name: str, arguments: dict[str, Any], seconds: float, most_bytes: int = MOST_BYTES
) -> tuple[Sequence[str], bool]:
    """Call a tool; return the texts of its result, and whether it is an error. Raises `McpFailure`."""
    async with _connected(server, seconds, most_bytes) as client:
        params = types.CallToolRequestParams(name=name, arguments=arguments)
        result = await client.session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
        return list(_texts(result)), bool(result.is_error)
    raise AssertionError  # the connection either gives a result or raises


@asynccontextmanager
async def _connected(server: McpServer, seconds: float, most_bytes: int) -> AsyncIterator[Client]:
    """A connection for one call; whatever goes wrong inside is raised as `McpFailure`."""
    transport = _transport(server, seconds, most_bytes)
    try:
        async with asyncio.timeout(seconds), Client(transport, cache=None, read_timeout_seconds=seconds) as client:
            yield client
    except TimeoutError:
        raise McpFailure(f"did not answer within {seconds:g} seconds") from None
    except McpFailure:
        raise
    except Exception as error:
        raise McpFailure(_reason(error, seconds)) from error


@asynccontextmanager
async def _transport(server: McpServer, seconds: float, most_bytes: int) -> AsyncIterator[Any]:
    """The streams of messages; the older transport, of two streams, is known by the usual end of its address."""

    def http(*_: object, **__: object) -> httpx2.AsyncClient:
        token = {"Authorization": f"Bearer {server.token}"} if server.token else {}
        return bounded_client({**dict(server.headers), **token}, most_bytes, seconds)

    if server.url.partition("?")[0].rstrip("/").endswith("/sse"):
        async with sse_client(server.url, httpx_client_factory=http, sse_read_timeout=seconds) as streams:
            yield streams
    else:
        async with http() as client, streamable_http_client(server.url, http_client=client) as streams:
            yield streams


def _reason(error: Exception, seconds: float) -> str:
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case TooLarge():
                return "sent an answer that is too large, or compressed"
            case MCPError() if cause.error.code == types.REQUEST_TIMEOUT:
                return f"did not answer within {seconds:g} seconds"
            case MCPError():
                return f"answered with an error: {_first_line(cause.error.message)}"
            case httpx2.HTTPStatusError():
                return f"answered with status {cause.response.status_code}"
            case ValueError():  # of pydantic, by which the package checks messages
                return "sent an answer of the wrong form"
            case httpx2.TransportError():
                return "cannot be reached"
            case _:
                pass
    return f"failed ({type(causes[0]).__name__})"


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:_LONGEST_MESSAGE]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, and what they were raised from."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
        return
    yield error
    if error.__cause__ is not None:
        yield from _causes(error.__cause__)


def _texts(result: types.CallToolResult) -> Iterator[str]:
    """The content as texts. What a model cannot read becomes a note; structured content is read if there is no other."""
    for block in result.content:
        match block:
            case types.TextContent():
                yield block.text
            case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
                yield f"{resource.uri}\n{resource.text}"
            case types.ResourceLink():
                yield " ".join(filter(None, (block.title or block.name, str(block.uri), block.description)))
            case types.ImageContent() | types.AudioContent():
                yield f"[{block.type} omitted: {block.mime_type}]"
            case _:
                yield f"[{block.type} omitted]"
    if not result.content and result.structured_content is not None:
        yield json.dumps(result.structured_content, ensure_ascii=False)
