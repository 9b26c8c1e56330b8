"""Checks of streams that both formats have in common, on two streams that are recorded once: a text and a call."""

import json
from collections.abc import Mapping

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.checks.streams import INSTANT
from dragoman.doctor.client import Client
from dragoman.doctor.openai.form import Form, Object
from dragoman.doctor.openai.requests import COUNTING, forced, form_of
from dragoman.doctor.stream import Stream

SUBJECT = Subject("streams")
FEWEST = 8
"""A text of 48 tokens that is streamed has more events than this."""


def counting(form: Form) -> Object:
    """A request for a longer text."""
    return form.body(form.user(COUNTING), limit=48)


async def counted(client: Client) -> Stream:
    """A streamed text."""
    return await client.streamed(counting(form_of(client)))


async def recorded(client: Client) -> Mapping[str, Stream]:
    """The streams by what they are; without the call if it is refused, which another check reports."""
    streams = {"a text": await client.once(counted)}
    called = await client.once(_called)
    if called.status == 200:
        streams["a call"] = called
    return streams


async def _called(client: Client) -> Stream:
    return await client.stream(forced(form_of(client)))


@SUBJECT.check("`stream` alone requests a stream", "SDKs accept application/json even when they want one", "TRN-3", "TRN-5")
async def sse_type(client: Client) -> None:
    stream = await client.stream(form_of(client).body(limit=16))
    if stream.status != 200 or not stream.content_type.startswith("text/event-stream"):
        raise CheckFailed(f"answered {stream.status}, {stream.content_type}")


@SUBJECT.check("text arrives piece by piece", "a buffered answer looks like a server that hangs", "TRN-5")
async def sse_bit_by_bit(client: Client) -> None:
    stream = await client.once(counted)
    if len(stream.events) < FEWEST:
        raise CheckFailed(f"the whole stream has {len(stream.events)} events")
    took = stream.now - stream.began
    if took < INSTANT:
        raise Skip(f"the whole answer took {took * 1000:.0f} ms: too fast to judge")
    middle = stream.events[len(stream.events) // 2].at
    if stream.now - middle < 0.1 * took:
        raise CheckFailed(f"of {took:.1f} s, {middle - stream.began:.1f} s passed before half of the events were there")


@SUBJECT.check("streamed arguments are the JSON of one object", "agents parse them when the call is complete", "OAI-2", "RSP-5")
async def sse_arguments(client: Client) -> None:
    stream = (await client.once(recorded)).get("a call")
    reply = form_of(client).fold(stream) if stream is not None else None
    if reply is None or not reply.calls:
        raise Skip("no call was streamed")
    for call in reply.calls:
        try:
            value = json.loads(call.arguments)
        except ValueError as error:
            raise CheckFailed(f"{call.name}: {quoted(call.arguments)}") from error
        if not isinstance(value, dict):
            raise CheckFailed(f"{call.name}: not an object: {quoted(call.arguments)}")


@SUBJECT.check("a streamed answer has the same shape as an unstreamed one", "clients use one or the other", "OAI-1", "RSP-2")
async def stream_equals_whole(client: Client) -> None:
    form = form_of(client)
    for what, request in (("a text", counting(form)), ("a call", forced(form))):
        answer = await client.post(request)
        stream = (await client.once(recorded)).get(what)
        if stream is None or answer.status != 200:
            continue
        shapes = [reply.shape for reply in (form.read(answer.object), form.fold(stream))]
        if shapes[0] != shapes[1]:
            raise CheckFailed(f"{what}: whole {shapes[0]}, streamed {shapes[1]}")
