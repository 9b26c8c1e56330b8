"""Listings of MCP servers are kept for a while, and their schemas are checked."""

from typing import Any

from dragoman.server_tools.mcp.listing import McpListings
from dragoman.server_tools.mcp.servers import McpServer
from server_tools.mcp_servers import answering, official, running


async def test_a_server_is_asked_once_for_each_token() -> None:
    listings = McpListings()
    async with running(official()) as url:
        first = await listings.of(McpServer("weather", url))
    assert await listings.of(McpServer("weather", url)) is first  # the server is gone


async def test_a_schema_that_cannot_be_used_is_replaced() -> None:
    schemas: list[Any] = [
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"$ref": "http://10.0.0.1/schema"}}},
        {"type": "object", "properties": {str(number): {} for number in range(20_000)}},
    ]

    async def never(*_: Any) -> Any:
        raise AssertionError

    async with answering(never, schemas) as url:
        listed = await McpListings().of(McpServer("x", url))
    assert [tool.schema for tool in listed] == [schemas[0], *[{"type": "object"}] * 2]
