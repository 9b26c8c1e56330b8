"""Checks of tools that the server runs: each runs, or is refused by its name."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.mcp_server import mcp_server
from dragoman.doctor.message import Message, read_message
from dragoman.doctor.request_fixtures import WEATHER, body, user

SUBJECT = Subject("server tools")

_MCP = "mcp-client-2025-11-20"


@SUBJECT.check(
    "a web search runs on the server, or is refused by its name",
    "a model whose search is not run makes its results up, and Claude Code's WebSearch needs the blocks of the answer",
    "TOOL-15",
)
async def tool_web_search(client: Client) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
    await _runs(client, [search], "How long is the Danube?", "web_search_tool_result")


@SUBJECT.check(
    "a page is fetched by the server, or the tool is refused by its name",
    "a model that cannot read the page makes its content up",
    "TOOL-15",
)
async def tool_web_fetch(client: Client) -> None:
    fetch = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1}
    await _runs(client, [fetch], "What is at https://example.com/?", "web_fetch_tool_result")


@SUBJECT.check(
    "a tool search runs on the server, or is refused by its name",
    "without it, a model with hundreds of deferred tools finds none of them",
    "TOOL-12",
)
async def tool_tool_search(client: Client) -> None:
    search = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
    await _runs(client, [search, {**WEATHER, "defer_loading": True}], "How is Ulm?", "tool_search_tool_result")


@SUBJECT.check(
    "the tool of an MCP server is called by the server, or mcp_servers is refused by its name",
    "a model whose tools are not called makes their results up",
    "BETA-4",
    "TOOL-15",
)
async def tool_mcp(client: Client) -> None:
    async with mcp_server() as server:
        fields: dict[str, Any] = {
            "mcp_servers": [{"type": "url", "url": server.url, "name": "doctor"}],
            "tools": [{"type": "mcp_toolset", "mcp_server_name": "doctor"}],
            "tool_choice": {"type": "any"},
        }
        request = body(user("When does the ferry leave? Use departure."), max_tokens=128, **fields)
        answer = await client.post(request, anthropic_beta=_MCP)
        if answer.status == 400 and b"mcp" in answer.body:
            raise Skip("the server refuses mcp_servers by name, or may not call one on this machine")
        message = read_message(answer.expect(200).object)
        _answered(message, "mcp_tool_use", "mcp_tool_result", "mcp_servers")
        if not server.calls:
            raise CheckFailed("there is a result, and the MCP server was not called")


async def _runs(client: Client, tools: list[dict[str, Any]], question: str, result_type: str) -> None:
    """Check that the first tool, one of the server, is run. Raises `CheckFailed`, and `Skip` if it is refused by name."""
    name = tools[0]["name"]
    asked = user(f"{question} Use {name}.")
    answer = await client.post(body(asked, tools=tools, tool_choice={"type": "tool", "name": name}, max_tokens=128))
    if answer.status == 400 and name.encode() in answer.body:
        raise Skip(f"the server refuses {name} by name")
    _answered(read_message(answer.expect(200).object), "server_tool_use", result_type, name)


def _answered(message: Message, call_type: str, result_type: str, name: str) -> None:
    """Check that there are calls, and a result for each. Raises `CheckFailed`."""
    calls = message.blocks(call_type)
    if not calls:
        raise CheckFailed(f"{name} is accepted and not run: the answer is {message.types or 'empty'}")
    answered = {block.tool_use_id for block in message.blocks(result_type)}
    if missing := [block.id for block in calls if block.id not in answered]:
        raise CheckFailed(f"no {result_type} for {', '.join(missing)}")
