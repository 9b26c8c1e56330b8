"""Fake remote engines: they speak the engine's protocol, send the replies that a test sets, and record the requests.

A fake engine runs in a thread, on a socket of its own, and can be stopped and started again at the same port. It splits every
event in two on the wire, sends comments in between, and can stop at any event until its client disconnects.
"""

import asyncio
import codecs
import gc
import json
import socket
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Literal

from aiohttp import web

from dragoman.models.tokenizer_folder import ModelFolder
from engines.folders import spelled

EngineFault = Literal["refuses", "loads", "hangs up", "fails midway", "breaks off"]

STATUS, FIRST_EVENT, MIDDLE = -1, 0, 4
"""Where a fake engine can be stopped: before its status, before its first event, in the middle of its reply."""

MESSAGES: dict[EngineFault, str] = {
    "refuses": "this is too long",
    "loads": "the model is loading",
    "fails midway": "out of luck",
}
"""The error messages of faults that have one."""


@dataclass(frozen=True)
class Reply:
    """What the model generates: tokens, of which several may form one character, and a fault, if any."""

    tokens: Sequence[bytes]
    cached: int = 0
    fault: EngineFault | None = None


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that was received. `constraint` is the constraint as sent, "" where there is none."""

    prompt: Sequence[int]
    limit: int
    constraint: str
    body: dict[str, Any]
    rid: str = ""


@dataclass(frozen=True)
class Step:
    """One token: the text that it completes, perhaps "", the number of tokens so far, and the token itself."""

    text: str
    count: int
    token: bytes


DONE = b"data: [DONE]\n\n"
GREETING = Reply([b"Hel", b"lo", b" the", b"re", b"."])


class Upstream(ABC):
    """A fake engine. `disconnects` counts the clients that left before their reply ended, `holding` those that wait in `hold`.

    `headers` are those of the requests in `received`. Constraints that contain `unreadable` are refused.
    """

    kind: ClassVar[str]
    endpoint: ClassVar[str]
    image_endpoint: ClassVar[str | None] = None
    """The endpoint for prompts with images, where that is another one."""
    messages: ClassVar[Mapping[EngineFault, str]] = MESSAGES

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = 0
        self._tokenizer = ModelFolder(folder)
        self.reset()

    def id_of(self, token: bytes) -> int:
        """The id of a token; 7 for one that the vocabulary lacks."""
        vocabulary = self._tokenizer._special.get_vocab(with_added_tokens=True)
        found: int = vocabulary.get(token.decode(errors="replace")) or vocabulary.get(spelled(token), 7)
        return found

    def reset(self) -> None:
        """Restore the initial state, with a greeting as the reply."""
        self.reply = GREETING
        self.received: list[ReceivedRequest] = []
        self.keys: list[str | None] = []
        self.headers: list[Mapping[str, str]] = []
        self.disconnects = self.holding = 0
        self.held_at: int | None = None
        self.unreadable = ""

    def says(self, *tokens: bytes | str, cached: int = 0, fault: EngineFault | None = None) -> None:
        """Set the reply to the next requests."""
        self.reply = Reply([token.encode() if isinstance(token, str) else token for token in tokens], cached, fault)

    def hold(self, at: int) -> None:
        """Stop every reply there, until its client disconnects."""
        self.held_at = at

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start_upstream(self) -> None:
        """Listen: at any free port the first time, afterwards at the same port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listener, ready)))
        self._thread.start()
        assert ready.wait(20)

    def freeze(self) -> None:
        """Block the event loop, as in a suspended process, until `thaw`."""
        self._frozen = threading.Event()
        self._loop.call_soon_threadsafe(self._frozen.wait, 20)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self._frozen.set()

    def stop_upstream(self) -> None:
        """Stop as if the process had been killed."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # a killed process closes nothing
            gc.collect()

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=0)
        for endpoint in filter(None, (self.endpoint, self.image_endpoint)):
            app.router.add_post(endpoint, self._answer)
        app.router.add_route("*", "/{path:.*}", self._other)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        site = web.SockSite(runner, listener)
        await site.start()
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()
        for _ in range(10):  # a connection accepted at the last moment needs a few iterations of the loop to appear
            for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined]
                transport.abort()
            await asyncio.sleep(0)

    async def _other(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Authorization"))
        body = await request.json() if request.can_read_body else {}
        found = await self.other(request.path, body)
        if found is None:
            return web.json_response({"detail": "Not Found"}, status=HTTPStatus.NOT_FOUND)
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="text/event-stream")
        return web.json_response(found)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = self.read(await request.json())
        reply = self._reply_to(received)
        if self.unreadable and self.unreadable in received.constraint:
            reply = replace(reply, fault="refuses")
        self.received.append(received)
        self.headers.append(request.headers)
        await self._pause(STATUS)
        if reply.fault == "hangs up":
            assert request.transport is not None
            request.transport.abort()
        if reply.fault == "loads" and reply.fault not in self.in_the_stream:
            return web.json_response(self.fault_body(reply.fault, 503), status=503)
        if reply.fault == "refuses" and reply.fault not in self.in_the_stream:
            return web.json_response(self.fault_body(reply.fault, 400), status=400)
        if not received.body.get("stream"):
            return web.json_response(self.whole(received, reply))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, sent in enumerate(self._events(received, reply)):
            if sent is None:
                assert request.transport is not None
                request.transport.abort()
                break
            await self._pause(number)
            for part in (b": still here\n\n", sent[: len(sent) // 2], sent[len(sent) // 2 :]):
                await response.write(part)
        return response

    def _reply_to(self, received: ReceivedRequest) -> Reply:
        """The reply to a request: to the probe of a constraint its only answer, to anything else the one that was set."""
        if '\\"Q\\"' in received.constraint or '"Q"' in received.constraint:
            return Reply([b"Q", b"null"])
        return self.reply

    def _events(self, received: ReceivedRequest, reply: Reply) -> Iterator[bytes | None]:
        """The encoded events; None where the connection breaks."""
        if reply.fault in self.in_the_stream:
            yield from (event(self.fault_body(reply.fault, self.in_the_stream[reply.fault])), DONE)
            return
        for number, payload in enumerate(self.chunks(received, reply)):
            if number == MIDDLE and reply.fault == "breaks off":
                yield None
            if number == MIDDLE and reply.fault == "fails midway":
                yield event(self.fault_body(reply.fault, 500))
                break
            yield event(payload)
        if self.says_done:
            yield DONE

    async def _pause(self, at: int) -> None:
        if self.held_at != at:
            return
        self.holding += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.disconnects += 1
            raise
        finally:
            self.holding -= 1

    in_the_stream: ClassVar[Mapping[EngineFault, int]] = {}
    """The faults that it reports in a stream with the status 200, and the status that they have there."""
    says_done: ClassVar[bool] = True

    @abstractmethod
    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        """The request of a body."""

    @abstractmethod
    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        """The events of a reply."""

    @abstractmethod
    async def other(self, path: str, body: dict[str, Any]) -> Any:
        """The reply at any other path, bytes for a stream of events; None for a 404."""

    def whole(self, received: ReceivedRequest, reply: Reply) -> dict[str, Any]:
        """The reply to a request without `stream`."""
        raise NotImplementedError

    def fault_body(self, fault: EngineFault, status: int) -> dict[str, Any]:
        """The body of an error."""
        return {"error": {"message": MESSAGES[fault], "code": status}}


def event(payload: dict[str, Any]) -> bytes:
    """An encoded event."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def steps(received: ReceivedRequest, reply: Reply) -> list[Step]:
    """The reply within the limit. Text comes with the token that completes its last character."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    return [Step(decoder.decode(token), number, token) for number, token in enumerate(reply.tokens[: received.limit], 1)]


def is_cut(received: ReceivedRequest, reply: Reply) -> bool:
    """Whether the limit ends the reply; the token that ends a generation counts, too."""
    return len(reply.tokens) >= received.limit


def output(received: ReceivedRequest, reply: Reply) -> int:
    """The number of tokens of the whole reply, including the one that ends the generation."""
    return min(len(reply.tokens) + 1, received.limit)
