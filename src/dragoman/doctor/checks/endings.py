"""Checks of a whole message and its stop reason."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.request_fixtures import assistant, body, user

SUBJECT = Subject("messages")
LETTER = "e"
"""A letter that every longer answer in English contains."""

TALE = user("Tell me a tale of a lighthouse.")


async def _whole(client: Client) -> dict[str, Any]:
    return (await client.post(body(TALE, max_tokens=8))).expect(200).object


@SUBJECT.check("a message is complete", "clients read these fields without checking for them", "RES-1", "RES-2", "RES-4")
async def message_shape(client: Client) -> None:
    message = await client.once(_whole)
    for name, wanted in {"type": "message", "role": "assistant"}.items():
        if message.get(name) != wanted:
            raise CheckFailed(f"{name} is {message.get(name)!r}")
    if not isinstance(message.get("id"), str) or not message["id"]:
        raise CheckFailed(f"id is {message.get('id')!r}")
    if not isinstance(message.get("content"), list):
        raise CheckFailed(f"content is {message.get('content')!r}")
    if not isinstance(message.get("stop_reason"), str):
        raise CheckFailed(f"stop_reason is {message.get('stop_reason')!r}")
    if "stop_sequence" not in message:
        raise CheckFailed("stop_sequence is missing")


@SUBJECT.check(
    "usage counts what was read, cached and written", "clients add these up without checking for null", "USE-1", "USE-2"
)
async def usage(client: Client) -> None:
    reported = (await client.once(_whole)).get("usage")
    for name in ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        if not isinstance(reported, dict) or not isinstance(reported.get(name), int):
            raise CheckFailed(f"{name} is {reported.get(name) if isinstance(reported, dict) else reported!r}")


@SUBJECT.check("the model is called by the requested name", "clients look up limits and prices by it", "RES-3")
async def model_echo(client: Client) -> None:
    if (name := (await client.once(_whole)).get("model")) != client.model:
        raise CheckFailed(f"requested {client.model}, the answer has {name}")


@SUBJECT.check(
    "max_tokens ends an answer and is reported", "clients continue on their own when they read it", "REQ-2", "STOP-1"
)
async def max_tokens(client: Client) -> None:
    message = await client.message(body(TALE, max_tokens=8))
    written = message.usage.output_tokens or 0
    if written > 8:
        raise CheckFailed(f"{written} tokens were written, 8 were allowed")
    if message.stop_reason == "end_turn" and written < 8:
        raise Skip("the model ended before it")
    if message.stop_reason != "max_tokens":
        raise CheckFailed(f"stop_reason is {message.stop_reason!r}")


@SUBJECT.check("max_tokens 0 reads the prompt and generates nothing", "clients warm the cache this way", "REQ-3")
async def max_tokens_zero(client: Client) -> None:
    message = await client.message(body(max_tokens=0))
    if message.content or message.stop_reason != "max_tokens" or message.usage.output_tokens:
        raise CheckFailed(
            f"stop_reason {message.stop_reason!r}, {message.usage.output_tokens} tokens, {len(message.content)} blocks"
        )


@SUBJECT.check("max_tokens beyond the window is not an error", "clients request 32,000 tokens from every model", "REQ-4")
async def max_tokens_huge(client: Client) -> None:
    async with client.opened(body(TALE, max_tokens=(client.window or 500_000) * 2)) as arrivals:
        async for stream in arrivals:
            if stream.status != 200:
                raise CheckFailed(f"answered {stream.status}")
            if stream.deltas:
                return


@SUBJECT.check("a stop sequence ends an answer and is reported", "older agents rely on it", "SEQ-1")
async def stop_sequence(client: Client) -> None:
    message = await client.message(body(TALE, max_tokens=64, stop_sequences=["#", LETTER]))
    if LETTER in message.text:
        raise CheckFailed(f"the answer contains it: {quoted(message.text)}")
    if message.stop_reason == "end_turn" and not message.text:
        raise Skip("the model wrote nothing")
    if (message.stop_reason, message.stop_sequence) != ("stop_sequence", LETTER):
        raise CheckFailed(f"stop_reason is {message.stop_reason!r}, stop_sequence {message.stop_sequence!r}")


@SUBJECT.check("no part of a stop sequence is streamed", "text that was sent cannot be taken back", "SEQ-2")
async def stop_sequence_stream(client: Client) -> None:
    plain = (await client.streamed(body(TALE, max_tokens=32))).fold().text
    stop = plain[len(plain) // 2 : len(plain) // 2 + 9]
    if not stop.strip():
        raise Skip("the model wrote too little")
    stopped = (await client.streamed(body(TALE, max_tokens=32, stop_sequences=[stop]))).fold()
    if stop in stopped.text:
        raise CheckFailed(f"{stop!r} is a stop sequence, and was sent")
    if stopped.stop_reason != "stop_sequence":
        if plain.startswith(stopped.text) and len(stopped.text) <= plain.index(stop) + len(stop):
            raise CheckFailed(f"cut at {stop!r}, but stop_reason is {stopped.stop_reason!r}")
        raise Skip("the model wrote something else the second time")
    if plain.startswith(stopped.text) and len(stopped.text) > plain.index(stop):
        raise CheckFailed(f"{quoted(stopped.text[plain.index(stop) :])!r} was sent, the beginning of {stop!r}")


@SUBJECT.check("a final assistant turn is continued", "evaluation harnesses prefill answers", "PRE-1")
async def prefill(client: Client) -> None:
    prefix = "One, two, three,"
    answer = await client.post(body(user("Count from one to ten in words."), assistant(prefix), max_tokens=12))
    if answer.status == 400 and "prefill" in answer.excerpt:
        raise Skip("the server refuses prefill by name, as Anthropic's recent models do")
    answer.expect(200)
    text = (await client.message(body(user("Count from one to ten in words."), assistant(prefix), max_tokens=12))).text
    if text.startswith(prefix):
        raise CheckFailed("the answer repeats the prefill")
