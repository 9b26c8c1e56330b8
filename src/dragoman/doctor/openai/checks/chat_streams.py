"""Checks of the chunks of streamed chat completions."""

from collections.abc import Iterator

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.openai.chat_form import CHAT
from dragoman.doctor.openai.checks.streams import counting, recorded
from dragoman.doctor.openai.form import Object, count, objects
from dragoman.doctor.stream import Stream

SUBJECT = Subject("chunks")
DONE = "[DONE]"


def _chunks(stream: Stream) -> list[Object]:
    return [event.data for event in stream.events if event.data is not None]


def _choices(stream: Stream) -> Iterator[Object]:
    for chunk in _chunks(stream):
        yield from objects(chunk.get("choices") or [], "choices")


def _deltas(stream: Stream) -> list[Object]:
    return [choice["delta"] for choice in _choices(stream) if isinstance(choice.get("delta"), dict)]


@SUBJECT.check("a stream ends with [DONE]", "older clients wait for it until they time out", "OAI-7")
async def sse_done(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        if not stream.events or stream.events[-1].payload != DONE or stream.rest.strip():
            raise CheckFailed(f"{what}: the last data is {quoted(stream.events[-1].payload) if stream.events else 'nothing'}")


@SUBJECT.check("everything else is a chunk", "the SDK raises on what is not JSON, and on chunks without choices", "OAI-7")
async def sse_chunks(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        for event in stream.events:
            if event.payload != DONE and (event.data is None or not isinstance(event.data.get("choices"), list)):
                raise CheckFailed(f"{what}: {quoted(event.payload)}")
            if event.data is not None and event.data.get("object") != "chat.completion.chunk":
                raise CheckFailed(f"{what}: object is {event.data.get('object')!r}")


@SUBJECT.check("all chunks have one id, time and model", "clients match chunks by them", "OAI-7")
async def sse_one_answer(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        found = {(str(chunk.get("id")), str(chunk.get("created")), str(chunk.get("model"))) for chunk in _chunks(stream)}
        if len(found) != 1 or "None" in next(iter(found)):
            raise CheckFailed(f"{what}: id, created and model are {', '.join(map(str, sorted(found)[:3]))}")


@SUBJECT.check("the first chunk has the role", "clients build the message from it", "OAI-7")
async def sse_role(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        roles = [delta.get("role") for delta in _deltas(stream)]
        if not roles or roles[0] != "assistant":
            raise CheckFailed(f"{what}: the first role is {roles[0] if roles else 'missing'!r}")


@SUBJECT.check("the finish reason comes once, at the end", "clients end the turn when they read it", "OAI-7", "OAI-10")
async def sse_finish(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        reasons = [choice.get("finish_reason") for choice in _choices(stream)]
        if not reasons or reasons[-1] is None or any(reason is not None for reason in reasons[:-1]):
            raise CheckFailed(f"{what}: the finish reasons are {[reason for reason in reasons if reason is not None]}")
        if what == "a call" and reasons[-1] == "stop" and CHAT.fold(stream).calls:
            raise CheckFailed("a call ends with the finish reason stop")


@SUBJECT.check("usage comes last if it is requested", "clients show costs and the context by it", "OAI-7", "OAI-9")
async def sse_usage(client: Client) -> None:
    stream = await client.streamed({**counting(CHAT), "stream_options": {"include_usage": True}})
    if not (chunks := _chunks(stream)):
        raise CheckFailed("the stream has no chunk")
    if not count(chunks[-1].get("usage"), "prompt_tokens") or not count(chunks[-1].get("usage"), "completion_tokens"):
        raise CheckFailed(f"the last usage is {chunks[-1].get('usage')!r:.80}")
    if chunks[-1].get("choices"):
        raise CheckFailed("the chunk with the usage has choices")


@SUBJECT.check("a call begins with its id and its name", "clients create the call from its first chunk", "OAI-2", "OAI-7")
async def sse_call(client: Client) -> None:
    stream = (await client.once(recorded)).get("a call")
    deltas = _deltas(stream) if stream is not None else []
    pieces = [piece for delta in deltas for piece in objects(delta.get("tool_calls") or [], "tool_calls")]
    if not pieces:
        raise Skip("no call was streamed")
    begun: set[object] = set()
    for piece in pieces:
        index, function = piece.get("index"), piece.get("function")
        if not isinstance(index, int):
            raise CheckFailed(f"the index of a chunk is {index!r}")
        if index not in begun and (not piece.get("id") or not isinstance(function, dict) or not function.get("name")):
            raise CheckFailed(f"call {index} begins with {piece!r:.100}")
        begun.add(index)
