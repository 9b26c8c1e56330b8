"""Connections: upgrades, limits on incomplete requests, clients that shut down their sending side."""

import asyncio
import gzip
import json
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from cli.process import script, serving
from conftest import MODEL, body, live_registry, live_server, registry_of
from controllable_engine import PREFILL, ControllableEngine, until
from dragoman.errors import Overloaded, RequestTooLarge
from dragoman.server import create_app
from dragoman.server.transport import connection, pace
from dragoman.server.transport.body import ALL_BODIES, MAX_BODY, SMALL_BODY, BodyMemory, read_json_body
from server.http import Wire, post, wire

HTTP_OK = 200
HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nanthropic-version: 2023-06-01\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[ControllableEngine]:
    engine = ControllableEngine()
    with live_server(engine, id=MODEL) as engine.url:
        yield engine


@pytest.fixture(autouse=True)
def _released(server: ControllableEngine) -> Iterator[None]:
    yield
    server.release()
    server.reset()


def refused(client: Wire) -> tuple[int, str]:
    """Return the status and the error type of a refusal, after which the server closes the connection."""
    head, _, content = client.read_all().partition(b"\r\n\r\n")
    fields = head.decode().lower().split("\r\n")
    envelope = json.loads(content)
    assert "connection: close" in fields
    assert f"request-id: {envelope['request_id']}" in fields
    return int(fields[0].split()[1]), envelope["error"]["type"]


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0, HTTP/9"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut", [0, 40, 150, 300])
def test_an_upgrade_offer_is_ignored(server: ControllableEngine, protocol: str, chunked: bool, cut: int) -> None:
    content = json.dumps(body()).encode()
    offer = f"Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n".encode()
    framed = b"transfer-encoding: chunked\r\n\r\n" if chunked else b"content-length: %d\r\n\r\n" % len(content)
    encoded = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, content[:9], len(content) - 9, content[9:]) if chunked else content
    request = HEAD + offer + framed + encoded
    with wire(server.url) as client:
        for _ in range(2):  # the connection stays open
            client.sock.sendall(request[:cut])
            client.sock.sendall(request[cut:])
            assert b" 200 " in client.read_until(b"\r\n")
            client.read_until(b'"diagnostics":null}')


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 70_000,
        HEAD + b"x: " + b"y" * 70_000,
        HEAD + b"a: b\r\n" * 12_000,
        HEAD + b"transfer-encoding: chunked\r\n\r\n1;" + b"x" * 400_000,
        b"GET /" + b"x" * 65_536 + b" HTTP/1.1\r\n\r\n",
        HEAD + b"x: " + b"y" * 65_536 + b"\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"a: b\r\n" * 11_000 + b"\r\n",
        HEAD + b"connection: upgrade\r\nupgrade: h2c\r\nx: " + b"y" * 65_536 + b"\r\n\r\n",
    ],
    ids=["path", "field", "fields", "chunk extension", "whole path", "whole field", "whole fields", "upgrade"],
)
def test_a_head_above_the_limit_is_refused(server: ControllableEngine, head: bytes) -> None:
    with wire(server.url) as client:
        client.sock.sendall(head)
        assert refused(client) == (431, "invalid_request_error")


def test_a_head_below_the_limit_is_read(server: ControllableEngine) -> None:
    with wire(server.url) as client:
        client.sock.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 65_000 + b"\r\n\r\n")
        assert b" 200 " in client.read_until(b"\r\n")


@pytest.mark.parametrize("offer", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"], ids=["plain", "upgrade"])
def test_thousands_of_pipelined_requests_are_answered(server: ControllableEngine, offer: bytes) -> None:
    request = b"GET /api/hello HTTP/1.1\r\nhost: localhost\r\n" + offer + b"\r\n"
    with wire(server.url) as client:
        client.sock.sendall(request * 2000)
        for _ in range(2000):
            client.read_until(b'"path":"/api/hello"}')


def test_what_is_not_http_is_a_400(server: ControllableEngine) -> None:
    for request in (b"\x16\x03\x01\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"):
        with wire(server.url) as client:
            client.sock.sendall(request)
            assert refused(client) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/v1/messages", {"type", "error", "request_id"}),
        ("/anthropic/v1/messages", {"type", "error", "request_id"}),
        ("/v1/chat/completions", {"error"}),
        ("/v1/chat/completions/?a=b", {"error"}),
        ("/anthropic/v1/completions", {"error"}),
        ("/v1/responses", {"error"}),
        ("/v1/responses/resp_1/cancel", {"error"}),
    ],
)
def test_a_refusal_has_the_format_of_its_path(server: ControllableEngine, path: str, keys: set[str]) -> None:
    with wire(server.url) as client:
        client.sock.sendall(f"POST {path} HTTP/1.1\r\ncontent-length: x\r\n\r\n".encode())
        assert set(json.loads(client.read_all().partition(b"\r\n\r\n")[2])) == keys


@pytest.mark.parametrize("sent", [b"POST /v1/mess", HEAD, HEAD + b"content-length: 99\r\n\r\n{"], ids=["line", "head", "body"])
def test_an_incomplete_request_is_refused_after_the_time_limit(
    server: ControllableEngine, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(pace, "BODY_SECONDS", 0.2)
    with wire(server.url) as client:
        client.sock.sendall(sent)
        assert refused(client) == (408, "invalid_request_error")


def test_a_body_that_keeps_arriving_is_waited_for(server: ControllableEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(pace, "BODY_BYTES", 1)
    content = json.dumps(body()).encode()
    with wire(server.url) as client:
        client.sock.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(content))
        client.sock.settimeout(0.05)
        for byte in content[:-1]:
            client.sock.sendall(bytes([byte]))
            if byte == ord(","):
                with pytest.raises(TimeoutError):  # nothing is answered before the end
                    client.sock.recv(1)
        client.sock.settimeout(20)
        client.sock.sendall(content[-1:])
        assert b" 200 " in client.read_until(b"\r\n")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "more",
    [
        b"what is this\r\n\r\n",
        HEAD + b"content-length: x\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nx\r\n",
        pytest.param(HEAD + b"x: " + b"y" * 70_000, marks=pytest.mark.slow),  # the rest of it is awaited for seconds
    ],
    ids=["noise", "head", "body", "large"],
)
def test_a_refused_request_does_not_cut_earlier_answers(server: ControllableEngine, more: bytes, streamed: bool) -> None:
    content = json.dumps(body(stream=streamed)).encode()
    request = HEAD + b"content-length: %d\r\n\r\n" % len(content) + content
    server.hold(before=PREFILL)
    with wire(server.url) as client:
        client.sock.sendall(request * 2 + more)
        until(lambda: server.waiting == 1)
        server.release()
        answer = client.read_all()
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b'"stop_reason":"end_turn"') == 2
    assert answer.endswith(b"0\r\n\r\n" if streamed else b'"diagnostics":null}')


def intervals_until_refused(rate: int) -> int | None:
    """Return the number of intervals until a 32 MB body at `rate` bytes per second is refused; None if it is accepted."""
    arriving, left, span = pace.Pace(), MAX_BODY, int(rate * pace.BODY_SECONDS)
    for number in range(1, MAX_BODY):
        if left <= span:
            return None
        arriving.add(span)
        left -= span
        if not arriving.end_interval(paused=False):
            return number
    raise AssertionError("the body never ends")


def test_a_slow_client_may_send_a_large_body_and_a_dripping_one_may_not() -> None:
    assert intervals_until_refused(64 * 1024) is None
    assert intervals_until_refused(8 * 1024) is None
    assert intervals_until_refused(7 * 1024) == 2
    assert intervals_until_refused(1024) == 2
    assert intervals_until_refused(100) == 1


def test_a_stalled_body_is_refused_even_after_a_fast_start() -> None:
    arriving = pace.Pace()
    arriving.add(MAX_BODY - 1)
    assert arriving.end_interval(paused=False)
    assert not arriving.end_interval(paused=False)


def test_time_without_reads_by_the_server_is_not_counted() -> None:
    arriving = pace.Pace()
    assert all(arriving.end_interval(paused=True) for _ in range(100))
    arriving.add(pace.BODY_BYTES)
    assert arriving.end_interval(paused=False)


def test_a_dripping_body_is_refused_after_the_grace_period(server: ControllableEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BODY_SECONDS": 0.1, "BODY_BYTES": 1, "GRACE_SECONDS": 0.4}.items():
        monkeypatch.setattr(pace, name, value)
    with wire(server.url) as client:
        client.sock.sendall(HEAD + b"content-length: 9999\r\n\r\n")
        client.sock.settimeout(0.03)
        answer = b""
        for _ in range(200):
            if not answer:
                client.sock.sendall(b" ")
                with suppress(TimeoutError):
                    answer = client.sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_shuts_down_its_sending_side_gets_its_answer(server: ControllableEngine, streamed: bool) -> None:
    server.hold(before=PREFILL)
    with wire(server.url) as client:
        client.send(body(stream=streamed))
        client.sock.shutdown(socket.SHUT_WR)
        until(lambda: server.waiting == 1)
        server.release()
        answer = client.read_all()
    assert b" 200 OK" in answer
    assert (b"message_stop" in answer) == streamed
    assert b'"stop_reason":"end_turn"' in answer


@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "application/x-jsonl"])
def test_only_event_streams_get_comments_after_the_end_of_the_input(content_type: str) -> None:
    registry = registry_of(ControllableEngine())
    whole = create_app(registry)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await whole(scope, receive, send)
            return
        headers = [(b"content-type", content_type.encode())]
        await send({"type": "http.response.start", "status": HTTP_OK, "headers": headers})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await asyncio.sleep(2 * connection.PROBE_DELAYS[0])
        await send({"type": "http.response.body", "body": b"last"})

    with live_registry(registry, app) as url, wire(url) as client:
        client.sock.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        client.read_until(b"first ")
        client.sock.shutdown(socket.SHUT_WR)
        rest = client.read_all()
    assert rest.endswith(b"\r\n4\r\nlast\r\n0\r\n\r\n")
    assert (b":" in rest) == content_type.startswith("text/event-stream")


def test_bodies_beyond_the_memory_limit_are_refused_unread(server: ControllableEngine) -> None:
    head = HEAD + b"content-length: %d\r\n\r\n{" % (MAX_BODY - 1)
    clients = [
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) for _ in range(2 * ALL_BODIES // MAX_BODY)
    ]
    try:
        for client in clients:
            client.settimeout(5)
            client.sendall(head)
        answers = [client.recv(65536) for client in clients[ALL_BODIES // MAX_BODY + 1 :]]
        assert all(b" 529 " in answer and b"x-should-retry: true" in answer for answer in answers)
        assert post(server.url, body()).status == HTTP_OK  # a small one is still accepted
    finally:
        for client in clients:
            client.close()


def test_small_compressed_bodies_are_not_counted(server: ControllableEngine) -> None:
    compressed = gzip.compress(json.dumps(body()).encode())
    server.hold(before=PREFILL)
    with ExitStack() as stack:
        clients = [stack.enter_context(wire(server.url)) for _ in range(8)]
        for client in clients:
            client.send(compressed, content_encoding="gzip")
        until(lambda: server.waiting == len(clients))
        server.release()
        for client in clients:
            assert b" 200 " in client.read_until(b"\r\n")


async def read_compressed(plain: bytes, memory: BodyMemory) -> tuple[bytes, int]:
    """Read a compressed body, and return it with the memory it took."""
    compressed = gzip.compress(plain, 1)

    async def receive() -> Message:
        return {"type": "http.request", "body": compressed}

    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    with memory.share() as share:
        return await read_json_body(Request({"type": "http", "headers": headers}, receive), share), share.bytes


@pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 3 * 1024 * 1024])
def test_a_compressed_body_is_counted_by_its_content(size: int) -> None:
    noise = random.Random(1).randbytes(size)
    for plain in (b" " * size, noise, noise[: size // 2] + b" " * (size - size // 2)):
        read, taken = asyncio.run(read_compressed(plain, BodyMemory()))
        assert read == plain
        assert max(0, size - SMALL_BODY) <= taken <= size


def test_a_compressed_body_beyond_the_memory_limit_is_refused_while_it_is_read() -> None:
    with pytest.raises(Overloaded):
        asyncio.run(read_compressed(b" " * MAX_BODY, BodyMemory(limit=1024 * 1024)))
    with pytest.raises(RequestTooLarge):
        asyncio.run(read_compressed(b" " * (MAX_BODY + 1), BodyMemory()))


def test_sigterm_ends_a_request_that_is_still_arriving(tmp_path: Path) -> None:
    lines = script(tmp_path, json.dumps({"output": "Hello."}))
    with serving("--engine", "scripted", "--script", lines) as running, wire(running.url) as client:
        client.sock.sendall(HEAD + b"content-length: 99\r\n\r\n{")
        assert post(running.url, body(model=running.model)).status == HTTP_OK
        running.signal(signal.SIGTERM)
        assert refused(client) == (529, "overloaded_error")
        assert running.exit_code() == 0
