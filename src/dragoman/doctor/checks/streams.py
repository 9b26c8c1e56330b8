"""Checks of a stream, event by event, on two streams that are recorded once: a text and a call."""

import json
from collections.abc import Mapping
from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.message import read_message
from dragoman.doctor.request_fixtures import body, forced, user
from dragoman.doctor.stream import Stream

SUBJECT = Subject("streams")
COUNTING = body(user("Count from one to forty in words."), max_tokens=48)
NAMES = {
    *("message_start", "message_delta", "message_stop", "ping"),
    *("content_block_start", "content_block_delta", "content_block_stop"),
}
SUITS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}
EMPTY: Mapping[str, Mapping[str, Any]] = {"text": {"text": ""}, "thinking": {"thinking": ""}, "tool_use": {"input": {}}}
INSTANT = 0.4
"""Seconds: a shorter answer does not show whether it was streamed in chunks."""


async def counting(client: Client) -> Stream:
    """A streamed text."""
    return await client.streamed(COUNTING)


async def _recorded(client: Client) -> Mapping[str, Stream]:
    streams = {"a text": await client.once(counting)}
    called = await client.once(calling)
    if called.status == 200:
        streams["a call"] = called
    return streams


async def calling(client: Client) -> Stream:
    """A streamed forced call, or the refusal of it."""
    return await client.stream(forced())


@SUBJECT.check("`stream` alone requests a stream", "the SDKs accept application/json even when they want one", "TRN-3", "TRN-5")
async def sse_type(client: Client) -> None:
    stream = await client.stream(body(max_tokens=2))
    if stream.status != 200 or not stream.content_type.startswith("text/event-stream"):
        raise CheckFailed(f"answered {stream.status}, {stream.content_type}")


@SUBJECT.check("each event is named as its payload says", "SDKs drop events without a name", "SSE-1")
async def sse_names(client: Client) -> None:
    for stream in (await client.once(_recorded)).values():
        for event in stream.events:
            if event.data is not None and event.name != event.type:
                raise CheckFailed(f"event: {event.name}, but its payload is {event.type}")


@SUBJECT.check("only events of the API are sent", "[DONE] and private events raise in the SDKs", "SSE-3")
async def sse_nothing_else(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        for event in stream.events:
            if event.data is None:
                raise CheckFailed(f"{what}: the data is not a JSON object: {quoted(event.payload)}")
            if event.type not in NAMES:
                raise CheckFailed(f"{what}: an event of type {event.type!r}: {quoted(event.payload)}")


@SUBJECT.check("the last event is terminated too", "without its empty line it is lost without an error", "SSE-2")
async def sse_tail(client: Client) -> None:
    for stream in (await client.once(_recorded)).values():
        if stream.rest.strip():
            raise CheckFailed(f"the stream ends in the middle of an event: {quoted(stream.rest.decode(errors='replace'))}")


@SUBJECT.check("it begins with one complete message_start", "SDKs build the message from it, and crash on null", "SSE-4")
async def sse_start(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        starts = stream.of("message_start")
        if len(starts) != 1 or stream.messages[0] is not starts[0]:
            first = stream.messages[0].type if stream.messages else "nothing"
            raise CheckFailed(f"{what}: {len(starts)} of message_start, and the first event is {first}")
        message = starts[0].inner("message")
        wanted: dict[str, Any] = {
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        for name, value in wanted.items():
            if name not in message or message[name] != value:
                raise CheckFailed(f"{what}: {name} is {message.get(name, 'missing')!r}, not {value!r}")
        for name in ("id", "model"):
            if not message.get(name) or not isinstance(message[name], str):
                raise CheckFailed(f"{what}: {name} is {message.get(name)!r}")


@SUBJECT.check("message_start has the length of the prompt", "context meters show 0, and compaction comes too late", "SSE-5")
async def sse_start_usage(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        begun = Stream(200, "", 0, 0, stream.of("message_start"), b"").fold().usage.prompt
        if not begun:
            raise CheckFailed(f"{what}: usage says that the prompt has 0 tokens")
        ended = stream.fold().usage.prompt
        if begun != ended:
            raise CheckFailed(f"{what}: {begun} tokens at the start, {ended} at the end")


@SUBJECT.check(
    "blocks are numbered from 0, one open at a time, each closed", "SDKs raise IndexError; Claude Code loses the call", "SSE-7"
)
async def sse_blocks(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        opened, open_one = 0, None
        for event in stream.events:
            index = event.index
            match event.type:
                case "content_block_start":
                    if open_one is not None or index != opened:
                        raise CheckFailed(f"{what}: block {index} begins, with {opened} begun before and block {open_one} open")
                    opened, open_one = opened + 1, index
                case "content_block_delta" | "content_block_stop" if index != open_one or index is None:
                    raise CheckFailed(f"{what}: {event.type} for block {index} while block {open_one} is open")
                case "content_block_stop":
                    open_one = None
        if open_one is not None:
            raise CheckFailed(f"{what}: block {open_one} is never closed")


@SUBJECT.check("blocks begin empty", "content in the start is counted twice or lost", "SSE-8")
async def sse_block_start(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        for event in stream.of("content_block_start"):
            block = event.inner("content_block")
            for name, value in EMPTY.get(str(block.get("type")), {}).items():
                if block.get(name) != value:
                    raise CheckFailed(f"{what}: {block.get('type')} begins with {name} {block.get(name)!r:.60}")


@SUBJECT.check("deltas suit their block", "a delta in a wrong block is dropped by SDKs and fatal in Claude Code", "SSE-9")
async def sse_deltas(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        kinds = {event.index: event.inner("content_block").get("type") for event in stream.of("content_block_start")}
        for event in stream.deltas:
            block, delta = kinds.get(event.index), event.inner("delta").get("type")
            if delta not in SUITS.get(str(block), {delta}):
                raise CheckFailed(f"{what}: {delta} in a block of type {block}")


@SUBJECT.check(
    "it ends with one message_delta and message_stop",
    "the Node SDK raises, the Python SDK takes a part for the whole",
    "SSE-14",
    "SSE-16",
    "SSE-18",
)
async def sse_end(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        tail = [event.type for event in stream.messages[-2:]]
        if tail != ["message_delta", "message_stop"] or len(stream.of("message_stop")) != 1:
            raise CheckFailed(f"{what}: the last events are {', '.join(tail)}")
        if len(stream.of("message_delta")) > 1:
            raise CheckFailed(
                f"{what}: {len(stream.of('message_delta'))} of message_delta, each of which overwrites the reason"
            )


@SUBJECT.check(
    "message_delta has the stop reason and the usage", "SDKs raise where usage or the reason is missing", "SSE-14", "SSE-15"
)
async def sse_final(client: Client) -> None:
    for what, stream in (await client.once(_recorded)).items():
        deltas = stream.of("message_delta")
        if not deltas:
            raise Skip("there is no message_delta")
        last = deltas[-1].inner("delta")
        if not isinstance(last.get("stop_reason"), str) or "stop_sequence" not in last:
            raise CheckFailed(f"{what}: delta is {quoted(json.dumps(last))}")
        counts = [event.inner("usage").get("output_tokens") for event in deltas]
        totals = [count for count in counts if isinstance(count, int) and count > 0]
        if len(totals) < len(counts):
            raise CheckFailed(f"{what}: usage.output_tokens is {counts[-1]!r}")
        if totals != sorted(totals):
            raise CheckFailed(f"{what}: output_tokens are not totals: {counts}")


@SUBJECT.check("text arrives piece by piece", "a buffered answer looks like a server that hangs", "TRN-5")
async def sse_bit_by_bit(client: Client) -> None:
    stream = await client.once(counting)
    if len(stream.deltas) < 2:
        raise CheckFailed(f"the text comes in {len(stream.deltas)} delta")
    took = stream.now - stream.began
    if took < INSTANT:
        raise Skip(f"the whole answer took {took * 1000:.0f} ms: too fast to judge")
    first = stream.deltas[0].at
    if stream.now - first < 0.1 * took:
        raise CheckFailed(f"of {took:.1f} s, the first {first - stream.began:.1f} s passed without text")


@SUBJECT.check(
    "streamed arguments are the JSON of one object", "the SDK raises in the middle of the stream", "SSE-10", "TOOL-17"
)
async def sse_arguments(client: Client) -> None:
    stream = await client.once(calling)
    written = stream.partial_json()
    if not written:
        raise Skip("no arguments were streamed")
    for index, arguments in written.items():
        try:
            value = json.loads(arguments or "{}")
        except ValueError as error:
            raise CheckFailed(f"block {index}: {quoted(arguments)}") from error
        if not isinstance(value, dict):
            raise CheckFailed(f"block {index} is not an object: {quoted(arguments)}")


@SUBJECT.check(
    "a streamed answer has the same shape as an unstreamed one", "clients fall back from one to the other", "SSE-20", "CC-7"
)
async def stream_equals_whole(client: Client) -> None:
    for what, request in (("a text", COUNTING), ("a call", forced())):
        answer = await client.post(request)
        stream = (await client.once(_recorded)).get(what)
        if stream is None or answer.status != 200:
            continue
        shapes = [(one.types, one.stop_reason, one.model) for one in (read_message(answer.object), stream.fold())]
        if shapes[0] != shapes[1]:
            raise CheckFailed(f"{what}: whole {shapes[0]}, streamed {shapes[1]}")
        for start in stream.of("message_start"):
            if different := set(answer.object) ^ set(start.inner("message")):
                raise CheckFailed(f"{what}: only one of both has {', '.join(sorted(different))}")
