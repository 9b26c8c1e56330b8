"""Overload: every request is answered, some with a retryable error (ERR-8)."""

import asyncio
import json
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from conftest import HEADERS, Serve, body, live_registry, registry_of, user
from controllable_engine import FIRST_TOKEN, ControllableEngine, until, until_still
from dragoman.engines import SHORT_PROMPT
from dragoman.errors import ShuttingDown
from dragoman.server.models.admission import Admission
from server.http import Answer, get, post, wire


def check_overloaded(answer: Answer) -> None:
    assert answer.status == 529
    assert answer.error[0] == "overloaded_error"
    assert answer.headers["x-should-retry"] == "true"
    assert 0 < float(answer.headers["retry-after"]) <= 60


async def one_of_many(url: str, stream: bool) -> Answer:
    target = urlsplit(url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    content = json.dumps(body(stream=stream)).encode()
    fields = {**HEADERS, "host": "test", "connection": "close", "content-length": str(len(content))}
    lines = ["POST /v1/messages HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + content)
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *named = head.decode().split("\r\n")
    return Answer(int(status.split()[1]), dict(line.lower().split(": ", 1) for line in named), rest)


@pytest.mark.clause("ERR-7", "ERR-8", "ERR-2")
async def test_200_connections_at_once_are_all_answered(serve: Serve) -> None:
    url = await asyncio.to_thread(serve, "Hello " * 20, slots=4, queue=60)
    answers = await asyncio.gather(*(one_of_many(url, stream=number % 2 == 0) for number in range(200)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 529}
    assert statuses[200] >= 64
    for answer in answers:
        if answer.status == 200:
            assert answer.content.endswith((b"}", b'data: {"type":"message_stop"}\n\n\r\n0\r\n\r\n'))
        else:
            check_overloaded(answer)
    assert (await asyncio.to_thread(post, url, body())).status == 200


@pytest.mark.clause("ERR-7", "ERR-8", "ERR-2")
@pytest.mark.parametrize(("slots", "queue"), [(1, 0), (1, 2), (2, 1)])
def test_beyond_slots_and_queue_the_answer_is_overloaded(slots: int, queue: int) -> None:
    engine = ControllableEngine(slots=slots)
    registry = registry_of(engine, id="scripted", queue=queue)
    with live_registry(registry) as url, ExitStack() as stack:
        assert registry.ready is not None
        admission = registry.ready.admission
        engine.hold(before=FIRST_TOKEN)
        admitted = []
        for number in range(slots + queue):
            client = stack.enter_context(wire(url))
            client.send(body(stream=number % 2 == 0))
            until(lambda expected=number + 1: admission.active == expected)  # type: ignore[misc]
            admitted.append(client)
        until(lambda: engine.waiting == slots)
        for streamed in (True, False):
            check_overloaded(post(url, body(stream=streamed)))
        assert post(url, body(), "/v1/messages/count_tokens").status == 200  # counting needs no slot
        assert get(url, "/v1/models").status == 200
        engine.release()
        for client in admitted:
            assert b" 200 " in client.read_until(b"\r\n")
            client.read_until(b"end_turn")
        until(lambda: admission.active == 0)
        assert post(url, body()).status == 200


@pytest.mark.clause("ERR-8")
def test_the_queue_is_first_come_first_served() -> None:
    engine = ControllableEngine(slots=1)
    registry = registry_of(engine, id="scripted")
    with live_registry(registry) as url, ExitStack() as stack:
        assert registry.ready is not None
        admission = registry.ready.admission
        engine.hold(before=FIRST_TOKEN)
        clients = []
        for number in range(4):
            client = stack.enter_context(wire(url))
            client.send(body({"role": "user", "content": "word " * (number + 1)}))
            until(lambda expected=number + 1: admission.active == expected)  # type: ignore[misc]
            clients.append(client)
        engine.release()
        for client in clients:
            client.read_until(b"end_turn")
        assert [len(tokens) for tokens in engine.prompts] == sorted(len(tokens) for tokens in engine.prompts)


def test_a_short_request_does_not_wait_for_long_ones_in_all_slots() -> None:
    engine = ControllableEngine(slots=4)
    registry = registry_of(engine, id="scripted")
    with live_registry(registry) as url, ExitStack() as stack:
        assert registry.ready is not None
        admission = registry.ready.admission
        engine.hold(before=FIRST_TOKEN)
        clients = [stack.enter_context(wire(url)) for _ in range(5)]
        for number, client in enumerate(clients, 1):
            client.send(body(user("word " * (1000 if number < 5 else 10))))
            until(lambda expected=number: admission.active == expected)  # type: ignore[misc]
        until(lambda: engine.waiting == 4)
        assert sorted(len(tokens) > SHORT_PROMPT for tokens in engine.prompts) == [False, True, True, True]
        engine.release()
        for client in clients:
            client.read_until(b"end_turn")
        assert len(engine.prompts) == 5


@pytest.mark.clause("ERR-8")
def test_a_server_that_shuts_down_admits_nothing_and_cancels_after_the_grace_period() -> None:
    engine = ControllableEngine(slots=1)
    registry = registry_of(engine, id="scripted")
    with live_registry(registry) as url, wire(url) as streaming, wire(url) as whole:
        assert registry.ready is not None
        admission = registry.ready.admission
        engine.hold(before=3)
        streaming.send(body(stream=True))
        streaming.read_until(b"text_delta")
        whole.send(body())
        until(lambda: admission.active == 2)
        engine.loop.call_soon_threadsafe(admission.drain)
        answers: list[Answer] = []

        def is_refused() -> bool:
            answers.append(post(url, body()))
            return answers[-1].status == 529

        until(is_refused)
        check_overloaded(answers[-1])
        engine.loop.call_soon_threadsafe(admission.expire)
        assert b'"overloaded_error"' in streaming.read_until(b"0\r\n\r\n")
        assert b" 529 " in whole.read_until(b"\r\n")
        until(lambda: admission.active == 0)


@pytest.mark.clause("SSE-18")
def test_a_slow_reader_gets_the_shutdown_error() -> None:
    engine = ControllableEngine()
    registry = registry_of(engine, id="scripted")
    with live_registry(registry) as url, wire(url, buffer=65536) as slow:
        assert registry.ready is not None
        engine.says("".join(f"{number:04x} " for number in range(200_000)), chunk=5)
        slow.send(body(stream=True, max_tokens=1_000_000))
        slow.read_until(b"text_delta")
        until_still(lambda: engine.chunks_sent)
        engine.loop.call_soon_threadsafe(registry.ready.admission.expire)
        slow.read_until(b"event: error")
        slow.read_until(b"0\r\n\r\n")


async def test_a_request_gets_no_slot_after_the_end() -> None:
    admission = Admission(slots=1, queue=1)
    with admission.admitted():
        admission.expire()
        with pytest.raises(ShuttingDown):
            async with admission.slot():
                pytest.fail("the slot was granted after the end")
