"""Checks of `count_tokens`, by which clients decide when to compact."""

from collections.abc import Mapping
from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.client import Client
from dragoman.doctor.request_fixtures import ASK_WEATHER, TOOLS, body, text, user

SUBJECT = Subject("counts")


def _counted(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in ("max_tokens", "temperature")}


async def _agree(client: Client, request: Mapping[str, Any]) -> None:
    count = await client.count(_counted(request))
    prompt = (await client.message(request)).usage.prompt
    if count != prompt:
        raise CheckFailed(f"counted {count} tokens, the message's usage adds up to {prompt}")


@SUBJECT.check(
    "a count equals the sum of the message's usage", "compaction comes too late or too often", "CNT-1", "CNT-2", "USE-1"
)
async def count(client: Client) -> None:
    await _agree(client, body(max_tokens=1))


@SUBJECT.check("system and tools are counted", "an agent's prompt is mostly these", "CNT-2")
async def count_tools(client: Client) -> None:
    request = body(ASK_WEATHER, tools=TOOLS, system=[text("You help with the weather.")], max_tokens=1)
    await _agree(client, request)
    bare = await client.count(_counted(body(ASK_WEATHER)))
    if await client.count(_counted(request)) < bare + 40:
        raise CheckFailed(f"with a system prompt and two tools it is hardly more than the {bare} tokens without")


@SUBJECT.check("a whole request can be counted", "gateways pass bodies on unchanged", "CNT-4")
async def count_whole_body(client: Client) -> None:
    await client.count(body(stream=True, metadata={"user_id": "doctor"}))


@SUBJECT.check(
    "a string and one block of text are the same prompt",
    "Claude Code switches between them from turn to turn, and the cache is lost",
    "CACHE-4",
    "REQ-7",
)
async def string_or_block(client: Client) -> None:
    counts = [await client.count({"messages": [user(content)]}) for content in ("Hello there.", [text("Hello there.")])]
    if counts[0] != counts[1]:
        raise CheckFailed(f"{counts[0]} tokens as a string, {counts[1]} as a block")


@SUBJECT.check(
    "cache marks do not change the prompt", "the marks move with each turn, and the cache is lost", "CACHE-1", "CNT-3"
)
async def cache_marks(client: Client) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    plain, marked = (
        {"system": [text("Be brief.", **fields)], "messages": [user([text("Hello there.", **fields)])]} for fields in ({}, mark)
    )
    counts = [await client.count(plain), await client.count(marked)]
    if counts[0] != counts[1]:
        raise CheckFailed(f"{counts[0]} tokens without, {counts[1]} with them")
