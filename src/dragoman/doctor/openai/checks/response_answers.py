"""Checks of whole responses."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.openai.form import Object, count, objects
from dragoman.doctor.openai.requests import TALE
from dragoman.doctor.openai.responses_form import RESPONSES

SUBJECT = Subject("responses")
ECHOED = (
    *("instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "previous_response_id", "temperature"),
    *("text", "tool_choice", "tools", "top_p", "truncation"),
)
"""The fields in which a response repeats its request."""
INPUT_TOKENS = "/v1/responses/input_tokens"


async def whole(client: Client) -> Object:
    """A response that ends at its limit."""
    return (await client.post(RESPONSES.body(RESPONSES.user(TALE), limit=16))).expect(200).object


@SUBJECT.check("a response is complete", "clients read these fields without checking for them", "RSP-1", "RSP-10")
async def response_shape(client: Client) -> None:
    response = await client.once(whole)
    if response.get("object") != "response" or not str(response.get("id") or ""):
        raise CheckFailed(f"object is {response.get('object')!r}, id {response.get('id')!r}")
    if not isinstance(response.get("created_at"), int | float):
        raise CheckFailed(f"created_at is {response.get('created_at')!r}")
    if response.get("status") not in ("completed", "incomplete"):
        raise CheckFailed(f"status is {response.get('status')!r}")
    if response.get("error") is not None:
        raise CheckFailed(f"error is {response['error']!r:.80}")


@SUBJECT.check("a response repeats the fields of its request", "the SDK's type requires them", "RSP-1")
async def response_echo(client: Client) -> None:
    response = await client.once(whole)
    if missing := [name for name in ECHOED if name not in response]:
        raise CheckFailed(f"without {', '.join(missing)}")


@SUBJECT.check("its items are complete", "the SDK's type requires these fields", "RSP-1")
async def response_items(client: Client) -> None:
    messages = [item for item in objects((await client.once(whole)).get("output"), "output") if item.get("type") == "message"]
    if not messages:
        raise Skip("there is no message")
    for item in messages:
        if not item.get("id") or item.get("role") != "assistant" or item.get("status") not in ("completed", "incomplete"):
            raise CheckFailed(f"id {item.get('id')!r}, role {item.get('role')!r}, status {item.get('status')!r}")
        for part in objects(item.get("content"), "content"):
            if part.get("type") != "output_text" or not isinstance(part.get("annotations"), list):
                raise CheckFailed(f"a part is {part!r:.100}")


@SUBJECT.check("usage adds up", "clients sum these up without checking for null", "RSP-1", "USE-1")
async def usage(client: Client) -> None:
    reported = (await client.once(whole)).get("usage")
    read, written, total = (count(reported, name) for name in ("input_tokens", "output_tokens", "total_tokens"))
    if not read or not written or read + written != total:
        raise CheckFailed(f"input {read}, output {written}, total {total}")


async def _length(client: Client, request: dict[str, Any]) -> int:
    return RESPONSES.read((await client.post(request)).expect(200).object).prompt_tokens


@SUBJECT.check("a text and one message are the same prompt", "clients switch between them, and the cache is lost", "RSP-3")
async def string_or_item(client: Client) -> None:
    part = {"type": "input_text", "text": "Hello there."}
    inputs: list[Any] = [
        "Hello there.",
        RESPONSES.user("Hello there."),
        [{"type": "message", "role": "user", "content": [part]}],
    ]
    lengths = [await _length(client, {**RESPONSES.body(limit=16), "input": given}) for given in inputs]
    if len(set(lengths)) > 1:
        raise CheckFailed(f"{lengths[0]} tokens as a text, {lengths[1]} as a message, {lengths[2]} as a part")


@SUBJECT.check("`instructions` are read", "agents send their system prompt there", "RSP-3")
async def instructions(client: Client) -> None:
    words = "You help with trees and seeds, and nothing else. " * 4
    short, long = [await _length(client, RESPONSES.body(limit=16, instructions=text)) for text in (None, words)]
    if long < short + 20:
        raise CheckFailed(f"{short} tokens without them, {long} with them")


@SUBJECT.check("`input_tokens` counts the prompt of the response", "compaction comes too late or too often", "RSP-16")
async def input_tokens(client: Client) -> None:
    request = RESPONSES.body(RESPONSES.user("Hello there."), limit=16)
    counted = (await client.post({"input": request["input"]}, INPUT_TOKENS)).expect(200).object.get("input_tokens")
    if counted != (length := await _length(client, request)):
        raise CheckFailed(f"counted {counted}, the response has {length}")


@SUBJECT.check("a tool that the server cannot run is refused by name", "the model waits for results that never come", "RSP-9")
async def hosted_tools(client: Client) -> None:
    tool = {"type": "file_search", "vector_store_ids": ["vs_1"]}
    answer = await client.post(RESPONSES.body(tools=[tool], limit=16))
    if answer.status == 200:
        raise CheckFailed("file_search in a store that does not exist is accepted")
    if answer.status >= 500 or "file_search" not in answer.excerpt:
        raise CheckFailed(f"answered {answer.status}: {answer.excerpt}")


@SUBJECT.check("the input of a custom tool is plain text", "Codex edits files with such a tool", "RSP-6", "RSP-17")
async def custom_tool(client: Client) -> None:
    tool = {"type": "custom", "name": "say", "description": "Say a line.", "format": {"type": "grammar", "syntax": "regex",
            "definition": "(yes|no)"}}  # fmt: skip
    request = RESPONSES.body(RESPONSES.user("Is it so? Use say."), tools=[tool], tool_choice="required", limit=64)
    output = objects((await client.post(request)).expect(200).object.get("output"), "output")
    calls = [item for item in output if item.get("type") == "custom_tool_call"]
    if not calls:
        raise CheckFailed(f"no call, but {', '.join(str(item.get('type')) for item in output) or 'nothing'}")
    if calls[0].get("name") != "say" or calls[0].get("input") not in ("yes", "no"):
        raise CheckFailed(f"{calls[0].get('name')}: {quoted(str(calls[0].get('input')))}")
