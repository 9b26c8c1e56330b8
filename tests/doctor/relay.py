"""An ASGI application around a server that adds one defect to it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Event = list[Any]
"""The name and the payload of an event, separate so that they can disagree."""


@dataclass
class Exchange:
    """A request before it is passed on, and its answer before it is sent. Every field may be changed."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    in_flight: int
    status: int = 0
    answer_headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    delay: float = 0

    @property
    def is_message(self) -> bool:
        """Whether it is a request to /v1/messages with a JSON body."""
        return self.path == "/v1/messages" and isinstance(self.body, dict)

    @property
    def is_count(self) -> bool:
        return self.path == "/v1/messages/count_tokens"

    def holds(self, text: str) -> bool:
        """Whether the request's body contains that text."""
        return not isinstance(self.body, bytes) and text in json.dumps(self.body)

    def says(self, text: str) -> bool:
        return text in self.content.decode()

    def refuse(self, status: int = 400, message: str = "no", kind: str = "invalid_request_error") -> None:
        """Answer the request with an error, without passing it on."""
        self.status, self.answer_headers = status, {"content-type": "application/json", "request-id": "req_relay"}
        error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_relay"}
        self.content = json.dumps(error).encode()

    @property
    def answer(self) -> Any:
        """The JSON of the answer; None if it is a stream."""
        return json.loads(self.content) if self.answer_headers.get("content-type") == "application/json" else None

    @answer.setter
    def answer(self, value: Any) -> None:
        self.content = json.dumps(value).encode()

    @property
    def events(self) -> list[Event]:
        """The events of a stream; empty if the answer is not streamed."""
        if not self.answer_headers.get("content-type", "").startswith("text/event-stream"):
            return []
        blocks = self.content.decode().split("\n\n")
        lines = [block.split("\n") for block in blocks if block and not block.startswith(":")]
        return [[name.removeprefix("event: "), json.loads(data.removeprefix("data: "))] for name, data in lines]

    @events.setter
    def events(self, events: list[Event]) -> None:
        self.content = "".join(
            (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n" for name, data in events
        ).encode()


Alteration = Callable[[Exchange], None]


class Relay:
    """An ASGI application around another. `on_request` and `on_response` are the current defect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Remove the defect."""
        self.on_request: Alteration = _unchanged
        self.on_response: Alteration = _unchanged

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._in_flight += 1
        try:
            exchange = await self._read(scope, receive)
            self.on_request(exchange)
            if not exchange.status:
                await self._pass_on(scope, exchange)
                self.on_response(exchange)
            await asyncio.sleep(exchange.delay)
        finally:
            self._in_flight -= 1
        headers = [(name.encode(), value.encode()) for name, value in exchange.answer_headers.items()]
        await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else exchange.content})

    async def _read(self, scope: Scope, receive: Receive) -> Exchange:
        data, more = b"", True
        while more:
            message = await receive()
            data, more = data + message.get("body", b""), message.get("more_body", False)
        try:
            body = json.loads(data)
        except ValueError:
            body = data
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        return Exchange(scope["method"], scope["path"], scope["query_string"].decode(), headers, body, self._in_flight)

    async def _pass_on(self, scope: Scope, exchange: Exchange) -> None:
        data = exchange.body if isinstance(exchange.body, bytes) else json.dumps(exchange.body).encode()
        exchange.headers.pop("content-length", None)
        headers = [(name.encode(), value.encode()) for name, value in exchange.headers.items()]
        read = False

        async def receive() -> Message:
            nonlocal read
            if read:
                await asyncio.Event().wait()
            read = True
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.answer_headers = {name.decode(): value.decode() for name, value in message["headers"]}
                exchange.answer_headers.pop("content-length", None)
            else:
                exchange.content += message.get("body", b"")

        path = {"path": unquote(exchange.path), "raw_path": exchange.path.encode()}
        await self._app({**scope, **path, "headers": headers, "query_string": exchange.query.encode()}, receive, send)


def _unchanged(_: Exchange) -> None:
    """Change nothing."""
