"""A plain HTTP client, so that tests see the bytes on the wire and not a client library's view of them."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from conftest import HEADERS

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """A response, read to its end. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of each event, without pings."""
        return [data for data in parse_events(self.content) if data["type"] != "ping"]

    @property
    def error(self) -> tuple[str, str]:
        """The type and message of an error, after a check of its envelope (ERR-1)."""
        body = self.json
        assert self.headers["content-type"] == JSON
        assert set(body) == {"type", "error", "request_id"}
        assert body["type"] == "error"
        assert body["request_id"] == self.headers["request-id"]
        assert self.headers["x-should-retry"] in ("true", "false")
        assert set(body["error"]) - {"details"} == {"type", "message"}
        return body["error"]["type"], body["error"]["message"]


def parse_events(content: bytes) -> list[dict[str, Any]]:
    """Parse a stream strictly: each event has two lines and an empty one, and its name is its type (SSE-1, SSE-2)."""
    assert content.endswith(b"\n\n")
    events = []
    for block in content.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        event = json.loads(data.removeprefix("data: "))
        assert event["type"] == name.removeprefix("event: ")
        events.append(event)
    return events


def ask(url: str, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
    """Send one request on its own connection; a header that is `None` is omitted, `x_api_key` becomes `x-api-key`."""
    kind = http.client.HTTPSConnection if urlsplit(url).scheme == "https" else http.client.HTTPConnection
    connection = kind(urlsplit(url).netloc, timeout=60)
    try:
        connection.request(method, path, encoded(body), fields(method, headers))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def post(url: str, body: Any, path: str = "/v1/messages", **headers: str | None) -> Answer:
    return ask(url, "POST", path, body, **headers)


def get(url: str, path: str, **headers: str | None) -> Answer:
    return ask(url, "GET", path, **headers)


def count(url: str, body: Any) -> int:
    answer = post(url, body, "/v1/messages/count_tokens")
    assert answer.status == HTTPStatus.OK, answer.content
    assert list(answer.json) == ["input_tokens"]
    tokens: int = answer.json["input_tokens"]
    return tokens


def encoded(body: Any) -> bytes | None:
    return body if body is None or isinstance(body, bytes) else json.dumps(body).encode()


def fields(method: str, given: dict[str, str | None]) -> dict[str, str]:
    usual = HEADERS if method == "POST" else {}
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return {name: value for name, value in {**usual, **named}.items() if value is not None}


class Wire:
    """A raw connection that the test reads and writes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._seen = bytearray()

    def send(self, body: Any, path: str = "/v1/messages", **headers: str | None) -> None:
        content = encoded(body) or b""
        lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in fields("POST", headers).items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + content)

    def read_until(self, mark: bytes) -> bytes:
        """Read up to and including the mark."""
        looked = 0
        while (start := self._seen.find(mark, looked)) < 0:
            looked = max(0, len(self._seen) - len(mark))
            received = self.sock.recv(65536)
            assert received, f"closed before {mark!r}: {bytes(self._seen[-300:])!r}"
            self._seen += received
        end = start + len(mark)
        seen, self._seen = self._seen[:end], self._seen[end:]
        return bytes(seen)

    def read_all(self) -> bytes:
        """Read until the server closes the connection."""
        while received := self.sock.recv(65536):
            self._seen += received
        return bytes(self._seen)


@contextmanager
def wire(url: str, buffer: int | None = None) -> Iterator[Wire]:
    """Open a raw connection. With a small receive `buffer`, a client that does not read soon blocks the server."""
    target = urlsplit(url)
    with socket.socket() as sock:
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(20)
        sock.connect((target.hostname, target.port))
        yield Wire(sock)
