"""The checks of web page origins and host names."""

from http import HTTPStatus

import pytest

from conftest import Serve, body
from controllable_engine import ControllableEngine
from dragoman.server.access.origins import is_allowed_host
from dragoman.server.transport import connection, pace
from server.http import ask, get, post, wire

PREFLIGHT = {
    "access_control_request_method": "POST",
    "access_control_request_headers": "anthropic-version,content-type,x-api-key,x-stainless-os",
    "access_control_request_private_network": "true",
}
LOCAL = ["http://localhost:5173", "https://localhost", "http://127.0.0.1:3000", "http://[::1]:8080", "http://app.localhost:1"]
STRANGE = [
    "https://example.org",
    "http://localhost.example.org",
    "http://127.0.0.1.example.org",
    "null",
    "file://",
    "http://10.0.0.1",
]


@pytest.mark.parametrize("origin", LOCAL)
def test_pages_of_this_machine_may_use_it(serve: Serve, origin: str) -> None:
    url = serve(api_key="sesame")
    preflight = ask(url, "OPTIONS", "/v1/messages", origin=origin, **PREFLIGHT)
    assert preflight.status == HTTPStatus.OK
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "x-api-key" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert preflight.headers["request-id"]
    for answer in (
        post(url, body(), origin=origin, x_api_key="sesame"),
        post(url, body(), origin=origin),
        get(url, "/no", origin=origin),
    ):
        assert answer.headers["access-control-allow-origin"] == origin
        assert "request-id" in answer.headers["access-control-expose-headers"]
        assert "origin" in answer.headers["vary"].lower()
    assert answer.status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("origin", STRANGE)
def test_other_pages_may_only_if_they_are_allowed(serve: Serve, origin: str) -> None:
    url = serve()
    assert "access-control-allow-origin" not in ask(url, "OPTIONS", "/v1/messages", origin=origin, **PREFLIGHT).headers
    assert "access-control-allow-origin" not in post(url, body(), origin=origin).headers
    named = serve(cors_origins=(origin,))
    assert post(named, body(), origin=origin).headers["access-control-allow-origin"] == origin
    assert post(named, body(), origin=LOCAL[0]).headers["access-control-allow-origin"] == LOCAL[0]


def test_every_page_may_if_the_operator_allows_it(serve: Serve) -> None:
    url = serve(cors_origins=("*",))
    assert ask(url, "OPTIONS", "/v1/messages", origin=STRANGE[0], **PREFLIGHT).headers["access-control-allow-origin"] == "*"
    assert post(url, body(), origin=STRANGE[0]).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/health", "/no"])
@pytest.mark.parametrize("origin", [None, LOCAL[0], *STRANGE])
def test_every_response_varies_with_the_origin(engine: ControllableEngine, path: str, origin: str | None) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert ask(engine.url, method, path, origin=origin).headers["vary"].lower() == "origin"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"x: " + b"y" * 70_000, b"431"),
        (b"x: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (b"content-length: 9\r\n", b"408"),
        (b"content-length: 9\r\n\r\n{", b"408"),
        (b"content-length: x\r\n\r\n", b"400"),
        (b"transfer-encoding: chunked\r\n\r\nx\r\n", b"400"),
    ],
    ids=["endless head", "large head", "slow head", "slow body", "length", "chunk"],
)
def test_pages_may_read_the_refusal_of_an_incomplete_request(
    engine: ControllableEngine, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes
) -> None:
    if status == b"408":
        monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
        monkeypatch.setattr(pace, "BODY_SECONDS", 0.1)
    for origin in (LOCAL[0], STRANGE[0], None):
        named = f"origin: {origin}\r\n" if origin else ""
        head = f"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{named}"
        with wire(engine.url) as client:
            client.sock.sendall(head.encode() + sent)
            answer = client.read_all()
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"\r\nvary: Origin\r\n" in answer
        assert (b"\r\naccess-control-allow-origin: http://localhost:5173\r\n" in answer) == (origin == LOCAL[0])
        assert (b"\r\nAccess-Control-Expose-Headers: request-id" in answer) == (origin == LOCAL[0])


def test_a_refusal_allows_every_page_if_all_are_allowed(serve: Serve) -> None:
    with wire(serve(cors_origins=("*",))) as client:
        client.sock.sendall(f"GET / HTTP/1.1\r\norigin: {STRANGE[0]}\r\ncontent-length: x\r\n\r\n".encode())
        assert b"\r\naccess-control-allow-origin: *\r\n" in client.read_all().lower()


def test_a_foreign_host_name_is_refused(serve: Serve) -> None:
    url = serve(hosts=())
    for path in ("/v1/messages", "/v1/chat/completions"):
        refused = post(url, body(), path, host="attacker.example:8000")
        assert refused.status == HTTPStatus.FORBIDDEN
    assert post(url, body(), host="attacker.example").error[0] == "permission_error"
    assert get(url, "/health", host="attacker.example").status == HTTPStatus.FORBIDDEN
    assert post(url, body(), host="localhost:1").status == HTTPStatus.OK


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "[::1]", "", "my.box"]
)
def test_host_names_of_this_machine(host: str) -> None:
    assert is_allowed_host(host, ("my.box",))


@pytest.mark.parametrize(
    "host",
    ["example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "[::2]", "a:b:c", "0.0.0.0", "@localhost"],
)
def test_other_host_names(host: str) -> None:
    assert not is_allowed_host(host, ())
