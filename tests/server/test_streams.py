"""Event streams of the Messages API."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from itertools import count as count_up
from typing import Any

import pytest

from conftest import MODEL, Serve, body, live_server, user
from controllable_engine import FIRST_TOKEN, PREFILL, ControllableEngine, until
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.base import PrefillProgress
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed, EngineUnavailable
from dragoman.server.answering import stream
from server.http import count, parse_events, post, wire
from server.test_answers import THOUGHT, WEATHER
from server.test_count import TOOL


def events(url: str, *messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    answer = post(url, body(*messages, stream=True, **fields))
    assert answer.status == HTTPStatus.OK, answer.content
    return answer.events


def check_grammar(stream_events: list[dict[str, Any]]) -> None:
    """Check the order: message_start, blocks one by one from index 0, message_delta, message_stop (SSE-4, SSE-7, SSE-16)."""
    first, *blocks, delta, stop = stream_events
    assert (first["type"], delta["type"], stop) == ("message_start", "message_delta", {"type": "message_stop"})
    suited = {"text": {"text_delta"}, "thinking": {"thinking_delta", "signature_delta"}, "tool_use": {"input_json_delta"}}
    index, kind = -1, None
    for event in blocks:
        if event["type"] == "content_block_start":
            assert kind is None
            index, kind = index + 1, event["content_block"]["type"]
        elif event["type"] == "content_block_stop":
            assert kind is not None
            kind = None
        else:
            assert event["type"] == "content_block_delta"
            assert event["delta"]["type"] in suited[kind or ""]
        assert event["index"] == index
    assert kind is None


@pytest.mark.clause("SSE-1", "SSE-2", "SSE-3")
def test_a_stream_has_exactly_these_bytes(engine: ControllableEngine) -> None:
    answer = post(engine.says("Hi there.", chunk=0), body(stream=True))
    message_id = answer.events[0]["message"]["id"]
    tokens = count(engine.url, body())
    usage = (
        f'"usage":{{"input_tokens":{tokens},"output_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
        '"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
        '"output_tokens_details":{"thinking_tokens":0},"server_tool_use":null,"service_tier":"standard","inference_geo":null}'
    )
    assert answer.content.decode() == (
        "event: message_start\n"
        f'data: {{"type":"message_start","message":{{"type":"message","id":"{message_id}","model":"{MODEL}","content":[],'
        f'{usage % 1},"role":"assistant","stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,'
        '"diagnostics":null}}\n\n'
        'event: ping\ndata: {"type":"ping"}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"","citations":null}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi there."}}\n\n'
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,'
        f'"container":null}},{usage % 2}}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


@pytest.mark.clause("SSE-4", "SSE-7", "SSE-9", "SSE-16", "STOP-2", "RES-6")
@pytest.mark.parametrize("chunk", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    "output", ["", "Hello.", THOUGHT, f"{THOUGHT}Yes.", WEATHER, f"{THOUGHT}So: {WEATHER}\n{WEATHER}", f"a{THOUGHT}b{WEATHER}c"]
)
def test_the_event_order_is_valid_for_every_split_of_the_output(engine: ControllableEngine, output: str, chunk: int) -> None:
    check_grammar(events(engine.says(output, chunk=chunk), tools=[TOOL]))


@pytest.mark.clause("SSE-8", "SSE-10", "SSE-11")
def test_blocks_start_empty_and_a_call_is_one_json_object(engine: ControllableEngine) -> None:
    sent = events(engine.says(f"{THOUGHT}So: {WEATHER}"), tools=[TOOL])
    thinking, text, call = (event["content_block"] for event in sent if event["type"] == "content_block_start")
    assert thinking == {"type": "thinking", "thinking": "", "signature": ""}
    assert text == {"type": "text", "text": "", "citations": None}
    assert call.pop("id").startswith("toolu_")
    assert call == {"type": "tool_use", "name": "get_weather", "input": {}, "caller": {"type": "direct"}}
    chunks = [event["delta"]["partial_json"] for event in sent if event.get("delta", {}).get("type") == "input_json_delta"]
    assert chunks[0] == ""
    assert "".join(chunks) == '{"place": "Ulm"}'


@pytest.mark.clause("SSE-12", "THK-7")
def test_reasoning_is_signed_once_at_its_end(engine: ControllableEngine) -> None:
    sent = events(engine.says(f"{THOUGHT}Yes.", chunk=1))
    kinds = [event["delta"]["type"] for event in sent if event["type"] == "content_block_delta" and event["index"] == 0]
    assert set(kinds[:-1]) == {"thinking_delta"}
    assert kinds[-1] == "signature_delta"


@pytest.mark.clause("SSE-14", "SSE-15", "SEQ-1", "SEQ-2")
def test_the_ending_has_the_stop_reason_and_the_totals(engine: ControllableEngine) -> None:
    sent = events(engine.says("one two three", chunk=1), stop_sequences=["three"])
    *_, delta, _ = sent
    text = "".join(event["delta"]["text"] for event in sent if event["type"] == "content_block_delta")
    assert text == "one two "
    assert delta["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "three", "stop_details": None, "container": None}
    assert delta["usage"]["output_tokens"] == 3
    assert delta["usage"]["input_tokens"] == sent[0]["message"]["usage"]["input_tokens"]


@pytest.mark.clause("SSE-20")
@pytest.mark.parametrize("chunk", [0, 1, 2, 3])
def test_text_is_split_on_whole_code_points(engine: ControllableEngine, chunk: int) -> None:
    output = "Grüße 🦆👩‍👩‍👧 é 中文"
    sent = events(engine.says(output, chunk=chunk))
    chunks = [event["delta"]["text"] for event in sent if event["type"] == "content_block_delta"]
    assert "".join(chunks) == output
    assert all(chunk.encode().decode() == chunk for chunk in chunks)


@pytest.mark.clause("SSE-5", "SSE-6", "CC-5")
def test_the_message_starts_with_its_input_count_before_the_first_token(engine: ControllableEngine) -> None:
    expected = count(engine.url, body())
    for held in (PREFILL, FIRST_TOKEN):
        engine.hold(before=held)
        with wire(engine.url) as connection:
            connection.send(body(stream=True))
            connection.read_until(b"\r\n\r\n")
            sent = connection.read_until(b'event: ping\ndata: {"type":"ping"}\n\n')
            assert f'"input_tokens":{expected},'.encode() in sent
            assert b"content_block" not in sent
            engine.release()
            connection.read_until(b"event: message_stop")


@pytest.mark.clause("SSE-5", "USE-5")
def test_message_start_has_cache_counts_if_the_engine_reports_them_soon(engine: ControllableEngine) -> None:
    engine.cached = 7
    start = events(engine.url)[0]["message"]["usage"]
    assert start["cache_read_input_tokens"] == 7
    assert start["input_tokens"] == count(engine.url, body()) - 7
    assert start["output_tokens"] == 1


@pytest.mark.clause("CC-5", "SSE-19")
@pytest.mark.parametrize("held", [PREFILL, FIRST_TOKEN, 3])
def test_pings_are_sent_during_silence(engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(stream, "PING_INTERVAL", 0.02)
    engine.hold(before=held)
    with wire(engine.url) as connection:
        connection.send(body(stream=True))
        for _ in range(5):
            connection.read_until(b'event: ping\ndata: {"type":"ping"}\n\n')
        engine.release()
        connection.read_until(b"event: message_stop")


@pytest.mark.clause("CC-5")
def test_pings_are_sent_while_a_request_waits_for_a_slot(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_INTERVAL", 0.02)
    url = serve(Line("word " * 2000, chunk=5, delay_ms=5), slots=1)
    with wire(url) as working, wire(url) as waiting:
        working.send(body(stream=True, max_tokens=2000))
        working.read_until(b"content_block_delta")
        waiting.send(body(stream=True))
        waiting.read_until(b"message_start")
        for _ in range(5):
            assert b"content_block" not in waiting.read_until(b"event: ping\n")


class EndlessPrefill(ScriptedEngine):
    """An engine that never finishes its prefill, and keeps reporting its progress."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        for done in count_up():
            yield OutputChunk(prefill=PrefillProgress(total=1_000_000, cached=0, done=done))
            await asyncio.sleep(stream.PING_INTERVAL / 4)


@pytest.mark.clause("CC-5", "SSE-19")
def test_prefill_progress_does_not_replace_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_INTERVAL", 0.04)
    with live_server(EndlessPrefill([], model=MODEL)) as url, wire(url) as connection:
        connection.send(body(stream=True))
        for _ in range(3):
            connection.read_until(b'event: ping\ndata: {"type":"ping"}\n\n')


def test_the_interval_between_pings_suits_the_clients() -> None:
    assert stream.PING_INTERVAL == 10


@pytest.mark.clause("SSE-17", "SSE-18", "STOP-7")
@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (EngineFailed("it broke"), "api_error", "it broke"),
        (EngineUnavailable("it restarts"), "overloaded_error", "it restarts"),
        (RuntimeError("a secret of the server"), "api_error", "Internal server error"),
    ],
)
def test_a_late_failure_is_the_last_event(engine: ControllableEngine, failure: Exception, kind: str, message: str) -> None:
    engine.says("Half an ans")
    engine.failure = failure
    answer = post(engine.url, body(stream=True))
    assert answer.status == HTTPStatus.OK
    *sent, last = answer.events
    assert sent[-1]["type"] == "content_block_delta"
    assert last == {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": answer.headers["request-id"],
    }


@pytest.mark.clause("SSE-17", "ERR-8")
def test_a_failure_before_the_first_byte_has_an_error_status(engine: ControllableEngine) -> None:
    engine.failure = EngineFailed("it broke")
    engine.fails_at_once = True
    answer = post(engine.url, body(stream=True))
    assert answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert answer.error == ("api_error", "it broke")


@pytest.mark.clause("SSE-17")
def test_the_connection_is_usable_after_an_error_event(engine: ControllableEngine) -> None:
    engine.says("Half an ans", finish_reason="error")
    with wire(engine.url) as connection:
        connection.send(body(stream=True))
        connection.read_until(b"event: error")
        connection.read_until(b"0\r\n\r\n")
        engine.says("Hello again.")
        connection.send(body())
        connection.read_until(b"Hello again.")


@pytest.mark.clause("TRN-18")
def test_a_long_stream_is_complete(engine: ControllableEngine) -> None:
    words = " ".join(f"w{number}" for number in range(5_000))
    answer = post(engine.says(words, chunk=3), body(stream=True, max_tokens=50_000))
    sent = parse_events(answer.content)
    assert "".join(event["delta"]["text"] for event in sent if event["type"] == "content_block_delta") == words
    until(lambda: engine.opened == engine.closed)


@pytest.mark.clause("SSE-18")
def test_concurrent_streams_do_not_mix(serve: Serve) -> None:
    url = serve(Line("cats " * 200, when="cats", delay_ms=0.2), Line("dogs " * 200, when="dogs", delay_ms=0.2))
    with wire(url) as cats, wire(url) as dogs:
        cats.send(body(user("cats"), stream=True))
        dogs.send(body(user("dogs"), stream=True))
        assert b"dogs" not in cats.read_until(b"event: message_stop")
        assert b"cats" not in dogs.read_until(b"event: message_stop")
