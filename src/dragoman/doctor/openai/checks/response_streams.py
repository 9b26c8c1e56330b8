"""Checks of the events of streamed responses."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, quoted
from dragoman.doctor.client import Client
from dragoman.doctor.openai.checks.streams import recorded
from dragoman.doctor.openai.form import objects
from dragoman.doctor.openai.responses_form import ENDS
from dragoman.doctor.stream import Event

SUBJECT = Subject("events")
STARTS = ["response.created", "response.in_progress"]
DELTAS = {
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.reasoning_text.delta": ("response.reasoning_text.done", "text"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments"),
}
"""The event that has the whole of the deltas of a type, and its field."""


def _of_items(events: list[Event]) -> list[Event]:
    return [event for event in events if event.data is not None and "output_index" in event.data]


@SUBJECT.check("each event is named as its payload says", "clients dispatch by either", "RSP-1")
async def sse_names(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        for event in stream.events:
            if event.data is None:
                raise CheckFailed(f"{what}: the data is not a JSON object: {quoted(event.payload)}")
            if event.name != event.type:
                raise CheckFailed(f"{what}: event: {event.name}, but its payload is {event.type}")


@SUBJECT.check("events are numbered from 0", "clients resume and reorder by the number", "RSP-1")
async def sse_numbers(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        numbers = [event.data.get("sequence_number") for event in stream.events if event.data is not None]
        if numbers != list(range(len(numbers))):
            raise CheckFailed(f"{what}: the first numbers are {numbers[:4]}, of {len(numbers)}")


@SUBJECT.check("a stream begins with the response", "the SDK raises on anything else", "RSP-1")
async def sse_start(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        if [event.type for event in stream.events[:2]] != STARTS:
            raise CheckFailed(f"{what}: it begins with {', '.join(event.type for event in stream.events[:2])}")
        response = stream.events[0].inner("response")
        if response.get("status") not in ("in_progress", "queued") or response.get("output") or not response.get("id"):
            raise CheckFailed(f"{what}: status {response.get('status')!r}, output {response.get('output')!r:.60}")


@SUBJECT.check("items begin and end, one after the other", "clients lose calls whose item never ends", "RSP-1")
async def sse_items(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        opened, open_one = 0, None
        for event in _of_items(list(stream.events)):
            index = event.index_of("output_index")
            match event.type:
                case "response.output_item.added":
                    if open_one is not None or index != opened:
                        raise CheckFailed(f"{what}: item {index} begins, with {opened} begun and item {open_one} open")
                    opened, open_one = opened + 1, index
                case _ if index != open_one:
                    raise CheckFailed(f"{what}: {event.type} of item {index} while item {open_one} is open")
                case "response.output_item.done":
                    open_one = None
        if open_one is not None or not opened:
            raise CheckFailed(f"{what}: {opened} items, and item {open_one} is never done")


@SUBJECT.check("what was sent in pieces comes whole, too", "clients show the pieces and keep the whole", "RSP-1")
async def sse_whole_texts(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        for kind, (done, field) in DELTAS.items():
            sent = "".join(str((event.data or {}).get("delta")) for event in stream.of(kind))
            whole = "".join(str((event.data or {}).get(field)) for event in stream.of(done))
            if sent != whole:
                raise CheckFailed(f"{what}: {kind} has {quoted(sent)!r}, {done} {quoted(whole)!r}")
        if not any(stream.of(kind) for kind in DELTAS):
            raise CheckFailed(f"{what}: nothing is sent in pieces")


@SUBJECT.check("the last event has the whole response", "the SDK takes the response from it", "RSP-1", "RSP-2", "RSP-10")
async def sse_end(client: Client) -> None:
    for what, stream in (await client.once(recorded)).items():
        last = stream.events[-1]
        if last.type not in ENDS or stream.rest.strip():
            raise CheckFailed(f"{what}: the last event is {last.type or quoted(last.payload)}")
        response = last.inner("response")
        done = [event.inner("item").get("id") for event in stream.of("response.output_item.done")]
        if [item.get("id") for item in objects(response.get("output"), "output")] != done:
            raise CheckFailed(f"{what}: its output differs from the items that were done")
        if not isinstance(response.get("usage"), dict):
            raise CheckFailed(f"{what}: usage is {response.get('usage')!r}")
