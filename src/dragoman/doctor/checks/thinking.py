"""Checks of thinking (separate, signed, replayed, disabled) and of structured output."""

import json
from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, no_markup
from dragoman.doctor.client import Client
from dragoman.doctor.expectations import expect_schema
from dragoman.doctor.message import Message
from dragoman.doctor.request_fixtures import assistant, body, text, user
from dragoman.doctor.stream import Stream

SUBJECT = Subject("thinking and form")
SUM = user("What is 17 + 25?")
THINKING = body(SUM, thinking={"type": "adaptive", "display": "summarized"}, max_tokens=400, temperature=None)
MARKUP = ("<think>", "</think>", "<|channel|>", "[THINK]", "<thinking>")
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"even": {"type": "boolean"}, "sum": {"type": "integer", "enum": [41, 42, 43]}},
    "required": ["even", "sum"],
    "additionalProperties": False,
}
NESTED: dict[str, Any] = {
    "$defs": {"kind": {"type": "string", "enum": ["oak", "ash"]}},
    "type": "object",
    "properties": {
        "kind": {"$ref": "#/$defs/kind"},
        "of": {"const": "tree"},
        "age": {"anyOf": [{"enum": [1, 2]}, {"type": "null"}]},
    },
    "required": ["kind", "of", "age"],
    "additionalProperties": False,
}


async def _thought(client: Client) -> Stream:
    stream = await client.streamed(THINKING)
    if not stream.fold().blocks("thinking"):
        raise Skip("the model does not think")
    return stream


@SUBJECT.check(
    "thinking can be requested in every way, of every model",
    "Claude Code sends `adaptive` to models it does not know",
    "THK-1",
    "THK-3",
)
async def thinking_accepted(client: Client) -> None:
    for policy in ({"type": "adaptive"}, {"type": "adaptive", "display": "omitted"}, {"type": "disabled"}):
        answer = await client.post(body(SUM, thinking=policy, max_tokens=2, temperature=None))
        if answer.status != 200:
            raise CheckFailed(f"{json.dumps(policy)} is answered {answer.status}: {answer.excerpt}")


@SUBJECT.check("every level of effort is accepted", "Claude Code sends `high` with each request", "THK-14")
async def effort(client: Client) -> None:
    for level in ("low", "medium", "high", "xhigh", "max"):
        answer = await client.post(body(output_config={"effort": level}, max_tokens=1))
        if answer.status != 200:
            raise CheckFailed(f"{level} is answered {answer.status}: {answer.excerpt}")


@SUBJECT.check("no reasoning leaks into the text", "users read it, and it comes back as text of the model", "THK-6")
async def thinking_no_leak(client: Client) -> None:
    no_markup((await client.streamed(THINKING)).fold().text, MARKUP)


@SUBJECT.check("thinking comes first", "clients expect it in the first block", "THK-6", "RES-6")
async def thinking_first(client: Client) -> None:
    types = (await client.once(_thought)).fold().types
    if types[0] != "thinking":
        raise CheckFailed(f"blocks: {', '.join(types)}")


@SUBJECT.check(
    "thinking is signed once, at its end",
    "SDKs keep the last piece of a signature; without one, replay is refused",
    "SSE-12",
    "THK-7",
)
async def thinking_signed(client: Client) -> None:
    stream = await client.once(_thought)
    kinds = [event.inner("delta").get("type") for event in stream.deltas]
    ours = [kind for kind in kinds if kind in ("thinking_delta", "signature_delta")]
    if ours.count("signature_delta") != len(stream.fold().blocks("thinking")) or ours[-1] != "signature_delta":
        raise CheckFailed(f"the last deltas of the thinking are {', '.join(map(str, ours[-2:]))}")
    if not all(block.signature for block in stream.fold().blocks("thinking")):
        raise CheckFailed("the signature is empty")


@SUBJECT.check("disabled thinking does not appear", "side requests pay for it and time out", "THK-1")
async def thinking_disabled(client: Client) -> None:
    message = await client.message(body(SUM, thinking={"type": "disabled"}, max_tokens=32))
    if message.blocks("thinking"):
        raise CheckFailed("there is a thinking block")
    no_markup(message.text, MARKUP)


@SUBJECT.check("thinking is accepted back unchanged", "agents replay each turn with it", "THK-9", "IN-11")
async def thinking_replay(client: Client) -> None:
    given = (await client.once(_thought)).fold()
    blocks = [
        {"type": "thinking", "thinking": block.thinking, "signature": block.signature} for block in given.blocks("thinking")
    ]
    again = [SUM, assistant([*blocks, text(given.text.strip() or "42")]), user("And one more?")]
    await client.message({**THINKING, "messages": again, "max_tokens": 2})


@SUBJECT.check("thinking of other models is accepted", "users change the model in the middle of a session", "THK-11", "IN-11")
async def thinking_foreign(client: Client) -> None:
    foreign = [
        {"type": "thinking", "thinking": "17 and 25 make 42.", "signature": "RXJVQkNrWUlCeGdDSWtCb3JlaWdu"},
        {"type": "redacted_thinking", "data": "RW1vdGlvbg=="},
        text("42."),
    ]
    again = [SUM, assistant(foreign), user("And one more?")]
    await client.message(body(*again, thinking={"type": "adaptive"}, max_tokens=2, temperature=None))


def _formed(message: Message, schema: dict[str, Any]) -> None:
    if message.types.count("text") != 1:
        raise CheckFailed(f"blocks: {', '.join(message.types) or 'none'}")
    expect_schema(message.text, schema)


def _asking(words: str, schema: dict[str, Any]) -> dict[str, Any]:
    return body(
        user(words),
        output_config={"format": {"type": "json_schema", "schema": schema}},
        max_tokens=64,
    )


@SUBJECT.check("output_config.format is enforced", "`messages.parse()` raises on anything else", "STR-1", "STR-3")
async def form(client: Client) -> None:
    _formed(await client.message(_asking("Is 17 + 25 even? Answer as JSON.", FORM)), FORM)


@SUBJECT.check("$defs, anyOf and const are enforced too", "the SDK makes them from a class", "STR-4")
async def form_nested(client: Client) -> None:
    _formed(await client.message(_asking("Describe an old oak as JSON.", NESTED)), NESTED)
