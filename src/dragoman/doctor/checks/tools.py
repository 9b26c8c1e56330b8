"""Checks of tool calls: optional, forced, forbidden, answered."""

import json
from typing import Any

import jsonschema_rs

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, no_markup, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.message import Block, Message
from dragoman.doctor.request_fixtures import (
    ASK_TIME,
    ASK_WEATHER,
    CLOCK,
    PLACE,
    TOOLS,
    WEATHER,
    assistant,
    body,
    call,
    forced,
    result,
    text,
    tool,
    user,
)

SUBJECT = Subject("tools")
MARKUP = ("<tool_call>", "</tool_call>", "<function=", "<|tool_call", "[TOOL_CALLS]", "<|python_tag|>", "<invoke ")
ORDER = tool(
    "order",
    "Order seeds.",
    {
        "count": {"type": "integer", "enum": [1, 2, 3]},
        "kinds": {"type": "array", "items": {"type": "string", "enum": ["oak", "ash"]}, "minItems": 1, "maxItems": 2},
        "to": {"type": "object", "properties": {"town": PLACE}, "required": ["town"], "additionalProperties": False},
        "express": {"type": "boolean"},
    },
)
LOOKED: list[dict[str, Any]] = [
    ASK_WEATHER,
    assistant([text("I look."), call("toolu_1", "get_weather", {"place": "Ulm", "days": 1})]),
]


async def _forced(client: Client) -> Message:
    return await client.message(forced())


async def _named(client: Client) -> Message:
    return await client.message(forced("get_time"))


def _calls(message: Message) -> list[Block]:
    """The calls of a message. Raises `CheckFailed` if there is none."""
    calls = message.blocks("tool_use")
    if not calls:
        raise CheckFailed(f"no call, but {message.types or 'nothing'}: {quoted(message.text)}")
    return calls


def _valid(block: Block, declared: dict[str, Any]) -> None:
    if not isinstance(block.input, dict):
        raise CheckFailed(f"the input is not an object: {quoted(json.dumps(block.input))}")
    for error in jsonschema_rs.iter_errors(declared["input_schema"], block.input):
        raise CheckFailed(f"{quoted(json.dumps(block.input))}: {quoted(error.message)}")


@SUBJECT.check("`any` forces a call", "frameworks get typed answers this way", "TOOL-5")
async def tool_any(client: Client) -> None:
    for block in _calls(await client.once(_forced)):
        if block.name not in ("get_weather", "get_time"):
            raise CheckFailed(f"a call of {block.name!r}, which was not declared")


@SUBJECT.check("a forced call has no text before it", "parsers take the first block", "TOOL-5")
async def tool_no_words(client: Client) -> None:
    message = await client.once(_forced)
    if message.blocks("tool_use") and message.blocks("text"):
        raise CheckFailed(f"blocks: {', '.join(message.types)}")


@SUBJECT.check("a call ends with stop_reason tool_use", "the SDK's runner stops, and never runs the tool", "STOP-2")
async def tool_stop_reason(client: Client) -> None:
    message = await client.once(_forced)
    if not message.blocks("tool_use"):
        raise Skip("there is no call")
    if message.stop_reason != "tool_use":
        raise CheckFailed(f"stop_reason is {message.stop_reason!r}")


@SUBJECT.check("a call has its own id, which can be sent back", "results are matched by it", "TOOL-8", "IN-7")
async def tool_ids(client: Client) -> None:
    blocks = [*(await client.once(_forced)).blocks("tool_use"), *(await client.once(_named)).blocks("tool_use")]
    if len(blocks) < 2:
        raise Skip("there are no calls to compare")
    ids = [block.id for block in blocks]
    if len(set(ids)) < len(ids):
        raise CheckFailed(f"the same id twice: {ids[0]!r}")
    for identifier in ids:
        if not identifier or not identifier.replace("_", "").replace("-", "").isalnum():
            raise CheckFailed(f"an id that no client may send: {identifier!r}")


@SUBJECT.check("one tool can be forced by its name", "JSON output of many libraries is a forced tool", "TOOL-5")
async def tool_named(client: Client) -> None:
    for block in _calls(await client.once(_named)):
        if block.name != "get_time":
            raise CheckFailed(f"get_time was named, {block.name} was called")


@SUBJECT.check("one call at a time, if requested", "some clients can answer one call only", "TOOL-7")
async def tool_one(client: Client) -> None:
    calls = _calls(await client.message(forced(disable_parallel_tool_use=True)))
    if len(calls) != 1:
        raise CheckFailed(f"{len(calls)} calls")


@SUBJECT.check("`none` forbids calls", "a client that wants text gets a call that it will not run", "TOOL-9")
async def tool_none(client: Client) -> None:
    message = await client.message(
        body(user("What is the weather in Ulm? Answer in words."), tools=TOOLS, tool_choice={"type": "none"})
    )
    if message.blocks("tool_use") or message.stop_reason == "tool_use":
        raise CheckFailed(f"blocks: {', '.join(message.types)}; stop_reason {message.stop_reason}")


@SUBJECT.check(
    "under `auto`, a call is a block, or there is none", "calls that leak as text end an agent's turn", "TOOL-4", "STOP-3"
)
async def tool_auto(client: Client) -> None:
    message = await client.message(body(ASK_WEATHER, tools=TOOLS, max_tokens=48))
    if message.stop_reason == "tool_use" and not message.blocks("tool_use"):
        raise CheckFailed("stop_reason is tool_use, and there is no call")
    if message.stop_reason == "end_turn" and message.blocks("tool_use"):
        raise CheckFailed("there is a call, and stop_reason is end_turn")
    no_markup(message.text, MARKUP)


@SUBJECT.check("arguments follow the schema", "an array sent as a string costs a turn, or ends the loop", "TOOL-11", "CC-9")
async def tool_arguments(client: Client) -> None:
    request = body(
        user("Order two bags of oak seeds to Ulm. Use order."),
        tools=[{**ORDER, "strict": True}],
        tool_choice={"type": "any"},
        max_tokens=128,
    )
    message = await client.message(request)
    for block in _calls(message):
        _valid(block, ORDER)


@SUBJECT.check("a call that is cut off ends with max_tokens", "half a call is run, or the history is damaged", "STOP-3")
async def tool_cut(client: Client) -> None:
    message = await client.message({**forced(), "max_tokens": 6})
    if message.stop_reason == "tool_use" and (message.usage.output_tokens or 0) < 6:
        raise Skip("the call was complete before it could be cut off")
    if message.stop_reason != "max_tokens":
        raise CheckFailed(f"stop_reason is {message.stop_reason!r}")


@SUBJECT.check("a result is answered", "it is the second half of every tool loop", "IN-8", "IN-9")
async def tool_result(client: Client) -> None:
    message = await client.message(body(*LOOKED, user([result("toolu_1", content="Rain, 12 degrees.")]), tools=TOOLS))
    if message.stop_reason is None:
        raise CheckFailed("stop_reason is null")


@SUBJECT.check(
    "results of every form are accepted", "empty results, errors, blocks, two at once: agents send them all", "IN-8", "IN-10"
)
async def tool_result_shapes(client: Client) -> None:
    both = assistant(
        [call("toolu_1", "get_weather", {"place": "Ulm", "days": 1}), call("toolu_2", "get_time", {"place": "Ulm"})]
    )
    for first, second in (({}, {"content": ""}), ({"content": "no such place", "is_error": True}, {"content": [text("noon")]})):
        results = [result("toolu_1", **first), result("toolu_2", **second), text("Go on.")]
        await client.message(body(ASK_WEATHER, both, user(results), tools=TOOLS, max_tokens=2))


@SUBJECT.check("calls in the history need no tools", "compaction leaves them out", "TOOL-10")
async def tool_history(client: Client) -> None:
    await client.message(body(*LOOKED, user([result("toolu_1", content="Rain.")]), max_tokens=2))


@SUBJECT.check(
    "every field of a tool is accepted",
    "strict, eager_input_streaming, input_examples … come from one SDK or another",
    "TOOL-1",
    "CC-2",
)
async def tool_fields(client: Client) -> None:
    full = {
        **CLOCK,
        "type": "custom",
        "strict": True,
        "eager_input_streaming": True,
        "allowed_callers": ["direct"],
        "input_examples": [{"place": "Ulm"}],
        "cache_control": {"type": "ephemeral"},
    }
    await client.message(body(ASK_TIME, tools=[full], max_tokens=2))


@SUBJECT.check(
    "deferred tools and references to them are accepted", "Claude Code searches for tools and refers to the results", "TOOL-12"
)
async def tool_deferred(client: Client) -> None:
    search = tool("ToolSearch", "Find a tool.", {"query": {"type": "string"}})
    found = [
        user("What is the weather in Ulm?"),
        assistant([call("toolu_1", "ToolSearch", {"query": "weather"})]),
        user([result("toolu_1", content=[{"type": "tool_reference", "tool_name": "get_weather"}])]),
    ]
    await client.message(body(*found, tools=[search, {**WEATHER, "defer_loading": True}], max_tokens=2))
