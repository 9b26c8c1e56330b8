"""What a client really sent: an ASGI application around the server's that keeps every request and the status of its answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(slots=True)
class Exchange:
    """One request. `status` is 0 while there is no answer; `answer` holds the bytes of a refusal, and of nothing else.

    `diverged` is where the server saw the prompt break with the one before it.
    """

    method: str
    path: str
    headers: dict[str, str]
    raw: bytearray = field(default_factory=bytearray)
    status: int = 0
    diverged: str = ""
    answer: bytearray = field(default_factory=bytearray)

    @property
    def body(self) -> dict[str, Any]:
        found = json.loads(self.raw or b"{}")
        assert isinstance(found, dict)
        return found

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({len(self.raw)} bytes) -> {self.status} {self.answer.decode()}"


class Recorder:
    """Wraps `app`; `exchanges` are in the order in which they began."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.exchanges: list[Exchange] = []

    @property
    def messages(self) -> Sequence[Exchange]:
        """The requests for messages, counting not among them."""
        return [exchange for exchange in self.exchanges if exchange.path == "/v1/messages"]

    @property
    def refused(self) -> Sequence[str]:
        """The requests that were not answered as the client wished."""
        return [str(exchange) for exchange in self.exchanges if exchange.status >= 400]

    def write(self, path: Path) -> None:
        """Keep what was heard, one body a line, for whoever wants to look at it."""
        path.write_bytes(b"".join(bytes(exchange.raw) + b"\n" for exchange in self.exchanges))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        exchange = Exchange(scope["method"], scope["path"], headers)
        self.exchanges.append(exchange)

        async def hear() -> Message:
            message = await receive()
            exchange.raw += message.get("body", b"")
            return message

        async def say(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.diverged += dict(message.get("headers", ())).get(b"dragoman-diverged", b"").decode()
            if exchange.status >= 400:
                exchange.answer += message.get("body", b"")
            await send(message)

        await self._app(scope, hear, say)
