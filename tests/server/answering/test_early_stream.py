"""Streaming clients see that the server is alive while the model of their request loads."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from conftest import body, user
from controllable_engine import FIRST_TOKEN, until
from dragoman.errors import EngineFailed
from dragoman.server.answering import stream
from server.http import EVENTS, parse_events, post, wire
from server.several_models import Model, SeveralModels, serving

CHAT = "/v1/chat/completions"


@pytest.fixture
def small() -> Model:
    return Model("small", window=1000)


@pytest.fixture
def server(small: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[SeveralModels]:
    monkeypatch.setattr(stream, "PING_INTERVAL", 0.03)
    with serving([Model("big"), small], memory=1) as running:
        small.hold_loading()
        yield running


def request(path: str = "/v1/messages", **fields: Any) -> dict[str, Any]:
    fields = {"model": "small", "messages": [user("Hi")], "stream": True, **fields}
    return fields if path == CHAT else body(**fields)


@pytest.mark.clause("SSE-19", "CC-5", "SSE-1", "SSE-2")
def test_pings_are_sent_while_the_model_loads(server: SeveralModels, small: Model) -> None:
    with wire(server.url) as client:
        client.send(request(), connection="close")
        head = client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert EVENTS.encode() in head
        for _ in range(3):
            client.read_until(b"event: ping")
        assert small.loading == 1
        small.release_loading()
        client.read_until(b"event: message_start")
        assert b"event: message_stop" in client.read_all()


@pytest.mark.clause("SSE-19")
def test_a_stream_with_early_pings_is_the_same_otherwise(server: SeveralModels, small: Model) -> None:
    early = server.later(small, stream=True)
    until(lambda: server.statuses["small"]["waiting"] == 1)
    small.release_loading()
    slow = [event for event in early.result().events if event["type"] != "message_start"]
    fast = [event for event in server.ask(small, stream=True).events if event["type"] != "message_start"]
    assert slow == fast


@pytest.mark.parametrize(
    ("path", "asked", "end"),
    [
        (CHAT, {"messages": [user("Hi")]}, b"data: [DONE]\n\n"),
        ("/v1/completions", {"prompt": "Hi"}, b"data: [DONE]\n\n"),
        ("/v1/responses", {"input": "Hi"}, b'"type":"response.completed"'),
    ],
)
def test_openai_streams_get_comments_while_the_model_loads(
    server: SeveralModels, small: Model, path: str, asked: dict[str, Any], end: bytes
) -> None:
    with wire(server.url) as client:
        client.send({"model": "small", "stream": True, **asked}, path, connection="close")
        for _ in range(2):
            client.read_until(b": ping\n\n")
        assert small.loading == 1
        small.release_loading()
        rest = client.read_all()
        assert b"I" in rest
        assert end in rest
        assert b"HTTP/1.1" not in rest


@pytest.mark.clause("SSE-17")
def test_a_failure_after_pings_is_an_error_event(server: SeveralModels, small: Model) -> None:
    small.failure = EngineFailed("no such tensor")
    with wire(server.url) as client:
        client.send(request(), connection="close")
        client.read_until(b"event: ping")
        small.release_loading()
        error = b'{"type":"error","error":{"type":"api_error","message":"no such tensor"}'
        assert b"event: error\ndata: " + error in client.read_all()
    with wire(server.url) as client:  # known to fail now
        client.send(request(), connection="close")
        assert client.read_until(b"\r\n").startswith(b"HTTP/1.1 500 ")


@pytest.mark.clause("SSE-17")
def test_a_failure_after_comments_is_an_error_object_and_the_end(server: SeveralModels, small: Model) -> None:
    small.failure = EngineFailed("no such tensor")
    with wire(server.url) as client:
        client.send(request(CHAT), CHAT, connection="close")
        client.read_until(b": ping\n\n")
        small.release_loading()
        rest = client.read_all()
        assert b'data: {"error":{"message":"no such tensor"' in rest
        assert b"data: [DONE]" in rest


@pytest.mark.clause("ERR-8")
def test_a_failure_before_the_first_ping_is_an_http_error(small: Model) -> None:
    small.failure = EngineFailed("no such tensor")
    with serving([Model("big"), small], memory=1) as server:
        for path in ("/v1/messages", CHAT):
            assert post(server.url, request(path), path).status == HTTPStatus.INTERNAL_SERVER_ERROR


@pytest.mark.clause("SSE-17", "ERR-8")
def test_a_request_that_is_refused_after_pings_gets_an_error_event(server: SeveralModels, small: Model) -> None:
    with wire(server.url) as client:
        client.send(request(messages=[user("word " * 1000)]), connection="close")
        client.read_until(b"event: ping")
        small.release_loading()
        rest = client.read_all()
        assert b'"type":"invalid_request_error","message":"prompt is too long' in rest


@pytest.mark.clause("TRN-18")
def test_a_client_may_leave_while_it_gets_pings(server: SeveralModels, small: Model) -> None:
    with wire(server.url) as client:
        client.send(request())
        client.read_until(b"event: ping")
    until(lambda: server.statuses["small"]["waiting"] == 0)
    small.release_loading()
    assert server.said(small) == "I am small."
    assert small.engine.opened == small.engine.closed == 1


def test_a_slow_answer_of_a_loaded_model_gets_no_second_start(server: SeveralModels, small: Model) -> None:
    small.release_loading()
    server.said(small)
    small.engine.hold(before=FIRST_TOKEN)
    with wire(server.url) as client:
        client.send(request(), connection="close")
        client.read_until(b"event: message_start")
        client.read_until(b"event: ping")
        client.read_until(b"event: ping")
        small.engine.release()
        assert b"HTTP/1.1" not in client.read_all()


def test_unstreamed_requests_get_nothing_before_their_answer(server: SeveralModels, small: Model) -> None:
    answer = server.later(small)
    until(lambda: server.statuses["small"]["waiting"] == 1)
    small.release_loading()
    assert json.loads(answer.result().content)["content"][0]["text"] == "I am small."
    assert parse_events(server.ask(small, stream=True).content)[-1]["type"] == "message_stop"
