"""Stand-ins for engines elsewhere: on the wire they are the engine; they say what they are told, and note what they hear.

A stand-in runs in a thread, on a socket of its own, and can be stopped and started again at the same port. It cuts every event
in two on the wire, says comments in between, and stops at any event for as long as its client stays.
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

EngineFault = Literal["refuses", "loads", "hangs up", "fails midway", "breaks off"]

STATUS, FIRST_EVENT, MIDDLE = -1, 0, 4
"""Where a stand-in can be held: before its status, before its first event, in the middle of its answer."""

MESSAGES: dict[EngineFault, str] = {
    "refuses": "this is too long",
    "loads": "the model is loading",
    "fails midway": "out of luck",
}
"""What it says of its faults, those of which something is said."""


@dataclass(frozen=True)
class Take:
    """What the model says: tokens, of which several may make one character, and where the model or the engine ends it."""

    tokens: Sequence[bytes]
    cached: int = 0
    fault: EngineFault | None = None


@dataclass(frozen=True)
class Asked:
    """What was asked for. `held` is the constraint, as it came, "" where there is none."""

    prompt: Sequence[int]
    limit: int
    held: str
    body: dict[str, Any]
    rid: str = ""


@dataclass(frozen=True)
class Step:
    """One token: the text that it completes, which may be none, and how many there were with it."""

    text: str
    count: int


DONE = b"data: [DONE]\n\n"
QUIET = Take([b"Hel", b"lo", b" the", b"re", b"."])


class Upstream(ABC):
    """One engine. `left` counts the clients that went before their answer was over, `holding` those that wait for it now.

    `headers` are those of the requests in `asked`. Constraints that hold what is `unreadable` are refused.
    """

    kind: ClassVar[str]
    door: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = 0
        self._tokenizer = ModelFolder(folder)
        self.reset()

    def reset(self) -> None:
        """Back to a greeting."""
        self.take = QUIET
        self.asked: list[Asked] = []
        self.keys: list[str | None] = []
        self.headers: list[Mapping[str, str]] = []
        self.left = self.holding = 0
        self.held_at: int | None = None
        self.unreadable = ""

    def says(self, *tokens: bytes | str, cached: int = 0, fault: EngineFault | None = None) -> None:
        """Set what is said from now on."""
        self.take = Take([token.encode() if isinstance(token, str) else token for token in tokens], cached, fault)

    def hold(self, at: int) -> None:
        """Stop every answer there, until its client goes."""
        self.held_at = at

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start_upstream(self) -> None:
        """Listen: at the first time anywhere, afterwards where it was."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listener, ready)))
        self._thread.start()
        assert ready.wait(20)

    def freeze(self) -> None:
        """Do nothing more, as a process that was stopped, until `thaw`."""
        self._frozen = threading.Event()
        self._loop.call_soon_threadsafe(self._frozen.wait, 20)

    def thaw(self) -> None:
        """Go on."""
        self._frozen.set()

    def stop_upstream(self) -> None:
        """As if it had been killed."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # who is killed closes nothing
            gc.collect()

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=0)
        app.router.add_post(self.door, self._answer)
        app.router.add_route("*", "/{path:.*}", self._other)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        site = web.SockSite(runner, listener)
        await site.start()
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()
        for _ in range(10):  # who was let in at the last moment needs a few turns of the loop to be there
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
        asked = self.read(await request.json())
        take = self._take(asked)
        if self.unreadable and self.unreadable in asked.held:
            take = replace(take, fault="refuses")
        self.asked.append(asked)
        self.headers.append(request.headers)
        await self._pause(STATUS)
        if take.fault == "hangs up":
            assert request.transport is not None
            request.transport.abort()
        if take.fault == "loads":
            return web.json_response(self.fault_body(take.fault, 503), status=503)
        if take.fault == "refuses" and not self.refuses_in_the_stream:
            return web.json_response(self.fault_body(take.fault, 400), status=400)
        if not asked.body.get("stream"):
            return web.json_response(self.whole(asked, take))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, said in enumerate(self._events(asked, take)):
            if said is None:
                assert request.transport is not None
                request.transport.abort()
                break
            await self._pause(number)
            for part in (b": still here\n\n", said[: len(said) // 2], said[len(said) // 2 :]):
                await response.write(part)
        return response

    def _take(self, asked: Asked) -> Take:
        """What is said to that: to the trial of a constraint what it asks for, to a trial of anything else the greeting."""
        if '\\"Q\\"' in asked.held or '"Q"' in asked.held:
            return Take([b"Q", b"null"])
        return self.take

    def _events(self, asked: Asked, take: Take) -> Iterator[bytes | None]:
        """The events, ready for the wire; None where the connection breaks."""
        if take.fault == "refuses":
            yield from (event(self.fault_body(take.fault, 400)), DONE)
            return
        for number, payload in enumerate(self.chunks(asked, take)):
            if number == MIDDLE and take.fault == "breaks off":
                yield None
            if number == MIDDLE and take.fault == "fails midway":
                yield event(self.fault_body(take.fault, 500))
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
            self.left += 1
            raise
        finally:
            self.holding -= 1

    refuses_in_the_stream: ClassVar[bool] = False
    says_done: ClassVar[bool] = True

    @abstractmethod
    def read(self, body: dict[str, Any]) -> Asked:
        """A request, understood."""

    @abstractmethod
    def chunks(self, asked: Asked, take: Take) -> Iterator[dict[str, Any]]:
        """The events of an answer."""

    @abstractmethod
    async def other(self, path: str, body: dict[str, Any]) -> Any:
        """The answer at any other path, bytes for a stream of events; None where there is nothing."""

    def whole(self, asked: Asked, take: Take) -> dict[str, Any]:
        """The answer to who does not want a stream."""
        raise NotImplementedError

    def fault_body(self, fault: EngineFault, status: int) -> dict[str, Any]:
        """How a failure is told."""
        return {"error": {"message": MESSAGES[fault], "code": status}}


def event(payload: dict[str, Any]) -> bytes:
    """An event, ready for the wire."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def steps(asked: Asked, take: Take) -> list[Step]:
    """What is said within the limit. Text comes with the token that completes its last character."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    return [Step(decoder.decode(token), number) for number, token in enumerate(take.tokens[: asked.limit], 1)]


def is_cut(asked: Asked, take: Take) -> bool:
    """Does the limit end it? The token that ends a turn needs room, too."""
    return len(take.tokens) >= asked.limit


def output(asked: Asked, take: Take) -> int:
    """Tokens of the whole answer, the one that ends the turn among them."""
    return min(len(take.tokens) + 1, asked.limit)
