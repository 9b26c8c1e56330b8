"""MCP servers are asked over HTTP; whatever they answer is a result, or a failure with a reason."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from dragoman.server_tools.mcp.client import call_tool, list_tools
from dragoman.server_tools.mcp.servers import McpFailure, McpServer
from server_tools.mcp_servers import answering, official, running

SECONDS = 20.0


@pytest.mark.parametrize("sse", [False, True])
async def test_tools_of_a_real_server_are_listed_and_called(sse: bool) -> None:
    async with running(official(), sse=sse) as url:
        server = McpServer("weather", url)
        tools = {tool.name: tool for tool in await list_tools(server)}
        assert tools["forecast"].description == "Tells the weather of a city."
        assert tools["forecast"].schema["required"] == ["city"]
        assert await call_tool(server, "forecast", {"city": "Oslo"}, SECONDS) == (["Oslo: rain for 1 days"], False)
        if not sse:
            (reason,), failed = await call_tool(server, "broken", {}, SECONDS)
            assert failed
            assert "broken" in reason
            with pytest.raises(McpFailure, match="too large"):
                await call_tool(server, "large", {"size": 10_000_000}, SECONDS)
            with pytest.raises(McpFailure, match=r"did not answer within 0\.5 seconds"):
                await call_tool(server, "never", {}, 0.5)


ANSWERS: dict[str, Any] = {
    "not JSON": ({"text": "{not", "content_type": "application/json"}, "Failed to parse JSON"),
    "a page": ({"text": "<html>", "content_type": "text/html"}, "Unexpected content type"),
    "a refusal": ({"status": 401, "text": "who?"}, "error"),
    "a redirect": ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "not followed"),
    "nothing": ({"content_type": "text/event-stream"}, "ended without a response"),
    "compressed": ({"body": b"x", "headers": {"Content-Encoding": "gzip"}}, "compressed"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_is_not_of_the_protocol_is_a_failure(name: str) -> None:
    fields, reason = ANSWERS[name]

    async def answer(*_: Any) -> web.Response:
        return web.Response(**fields)

    async with answering(answer) as url:
        with pytest.raises(McpFailure, match=reason):
            await call_tool(McpServer("x", url), "t", {}, SECONDS)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"content": "words"}, "of the wrong form"),
        ({"content": [{"type": "odd"}]}, "of the wrong form"),
        ({}, "of the wrong form"),
        ({"content": [], "structuredContent": {"a": 1}}, ['{"a": 1}']),
        ({"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}]}, ["[image omitted: image/png]"]),
        ({"content": [{"type": "resource", "resource": {"uri": "file:///a", "text": "b"}}]}, ["file:///a\nb"]),
        ({"content": [{"type": "resource_link", "uri": "https://a.test/", "name": "A"}]}, ["A https://a.test/"]),
    ],
)
async def test_content_of_any_kind_becomes_text(result: dict[str, Any], outcome: str | list[str]) -> None:
    async def answer(_: Any, message: dict[str, Any]) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async with answering(answer) as url:
        call = call_tool(McpServer("x", url), "t", {}, SECONDS)
        if isinstance(outcome, list):
            assert await call == (outcome, False)
        else:
            with pytest.raises(McpFailure, match=outcome):
                await call


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_endless_answer_is_cut(kind: str) -> None:
    async def answer(request: web.Request, _: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 50_000)
            await asyncio.sleep(0)

    async with answering(answer) as url:
        with pytest.raises(McpFailure, match=r"too large|exceeded"):
            await call_tool(McpServer("x", url), "t", {}, SECONDS)


async def test_the_token_is_sent_and_does_not_appear_in_text() -> None:
    sent: list[str | None] = []

    async def answer(request: web.Request, message: dict[str, Any]) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        error = {"code": 1, "message": f"no\nline {json.dumps(dict(request.headers))}"}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})

    async with answering(answer) as url:
        server = McpServer("x", url, "s3cret")
        with pytest.raises(McpFailure, match=r"answered with an error: no$") as failure:
            await call_tool(server, "t", {}, SECONDS)
    assert sent == ["Bearer s3cret"]
    assert "s3cret" not in f"{server} {failure.value}"


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(McpFailure, match="cannot be reached"):
        await list_tools(McpServer("x", "http://127.0.0.1:1/mcp"))
