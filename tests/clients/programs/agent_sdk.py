"""The steps of the agent SDK, which contains its own Claude Code."""

from contextlib import suppress
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ResultError, create_sdk_mcp_server, query, tool
from steps import (
    A_DOT,
    ASK_CITY,
    ASK_PAGES,
    ASK_PICTURE,
    ASK_THOUGHT,
    ASK_WEATHER,
    CITY,
    HELLO,
    HELLO_THERE,
    IT_RAINS,
    KEY,
    MODEL,
    PAGES_SAY,
    PDF,
    PNG,
    THOUGHT,
    URL,
    WEATHER,
    base64,
    run_steps,
    same,
)


async def ask(prompt: Any, key: str = KEY, **options: Any) -> tuple[list[Any], Any]:
    """The events of a query, and the last one, which is the result."""
    query_options = ClaudeAgentOptions(
        **{"model": MODEL, "max_turns": 5, "tools": [], "skills": [], **options},
        env={"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_API_KEY": key},
    )
    events = []
    with suppress(ResultError):  # raised after the result, which has the same error
        async for event in query(prompt=prompt, options=query_options):
            events.append(event)  # noqa: PERF401 the events before the error are kept
    return events, events[-1]


def blocks(events: list[Any], kind: str) -> list[Any]:
    contents = [event.content for event in events if type(event).__name__ == "AssistantMessage"]
    return [block for content in contents for block in content if type(block).__name__ == kind]


async def message() -> None:
    _, result = await ask(HELLO)
    same(result.result, HELLO_THERE)


async def stream() -> None:
    events, result = await ask(HELLO, include_partial_messages=True)
    streamed = [event.event for event in events if type(event).__name__ == "StreamEvent"]
    texts = [event["delta"].get("text", "") for event in streamed if event["type"] == "content_block_delta"]
    same("".join(texts), result.result)


@tool("get_weather", "Weather of a place.", {"place": str})
async def get_weather(arguments: dict[str, Any]) -> dict[str, Any]:
    same(arguments, {"place": "Ulm"})
    return {"content": [{"type": "text", "text": WEATHER}]}


async def tools() -> None:
    servers = {"weather": create_sdk_mcp_server("weather", tools=[get_weather])}
    _, result = await ask(ASK_WEATHER, mcp_servers=servers, allowed_tools=["mcp__weather__get_weather"])
    same(result.result, IT_RAINS)


async def thinking() -> None:
    events, _ = await ask(ASK_THOUGHT)
    [thought] = blocks(events, "ThinkingBlock")
    same(thought.thinking, THOUGHT)


async def structured() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    _, result = await ask(ASK_CITY, output_format={"type": "json_schema", "schema": schema})
    same(result.structured_output, {"city": CITY})


async def ask_about(kind: str, media_type: str, file: Any, question: str) -> Any:
    source = {"type": "base64", "media_type": media_type, "data": base64(file)}

    async def prompt() -> Any:
        content = [{"type": kind, "source": source}, {"type": "text", "text": question}]
        yield {"type": "user", "message": {"role": "user", "content": content}}

    _, result = await ask(prompt())
    return result.result


async def image() -> None:
    same(await ask_about("image", "image/png", PNG, ASK_PICTURE), A_DOT)


async def pdf() -> None:
    same(await ask_about("document", "application/pdf", PDF, ASK_PAGES), PAGES_SAY)


async def errors() -> None:
    for status, options in ((401, {"key": "wrong"}), (404, {"model": "gpt-9"})):
        _, result = await ask(HELLO, **options)
        same((result.is_error, result.api_error_status), (True, status))


run_steps(message, stream, tools, thinking, structured, image, pdf, errors)
