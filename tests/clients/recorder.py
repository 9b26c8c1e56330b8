"""An ASGI application around the server's that records every request of a client and the status of its answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(slots=True)
class Exchange:
    """One request. `status` is 0 while there is no answer; `answer` has the bytes of an error, and is otherwise empty.

    `diverged` is where the server found the prompt to diverge from the one before it.
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
        """The requests to /v1/messages."""
        return [exchange for exchange in self.exchanges if exchange.path == "/v1/messages"]

    @property
    def responses(self) -> Sequence[Exchange]:
        """The requests to /v1/responses."""
        return [exchange for exchange in self.exchanges if exchange.path == "/v1/responses"]

    @property
    def refused(self) -> Sequence[str]:
        """The requests that were answered with an error."""
        return [str(exchange) for exchange in self.exchanges if exchange.status >= 400]

    def write(self, path: Path) -> None:
        """Write the recorded bodies to a file, one per line."""
        path.write_bytes(b"".join(bytes(exchange.raw) + b"\n" for exchange in self.exchanges))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        exchange = Exchange(scope["method"], scope["path"], headers)
        self.exchanges.append(exchange)

        async def record_request() -> Message:
            message = await receive()
            exchange.raw += message.get("body", b"")
            return message

        async def record_answer(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.diverged += dict(message.get("headers", ())).get(b"dragoman-diverged", b"").decode()
            if exchange.status >= 400:
                exchange.answer += message.get("body", b"")
            await send(message)

        await self._app(scope, record_request, record_answer)
