"""A turn as a stream of events.

Two tasks share an outbox. The producer runs the turn and encodes its parts; the sender writes to the socket whatever has
gathered since its last write, so that a fast engine costs one write for many events and a slow one a write per event. The
sender also keeps the clock: where nothing was sent for a while it sends a `ping`, whatever the producer waits for (CC-5).

Until the first byte is sent a failure is an ordinary HTTP error; after it, it is an `error` event, and the last one (SSE-17).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.types import Send

from dragoman.api.format import ApiFormat, Encoder
from dragoman.engines import SHORT_PROMPT
from dragoman.errors import ClientStalled, DragomanError, Unexpected
from dragoman.generation import Generation
from dragoman.observability import Record
from dragoman.parts import Part
from dragoman.server.admission import Admission
from dragoman.server.respond import response_start, send_json

MOMENT = 0.25
"""Seconds that `message_start` waits for the engine to say how much of the prompt it had cached."""
PING_INTERVAL = 10.0
"""Seconds of silence after which the client is shown a sign of life."""
STALL_LIMIT = 120.0
"""Seconds for which a client may refuse to read before its work is given up."""
_OUTBOX_LIMIT = 64 * 1024

E = TypeVar("E")

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # asks proxies not to gather what should flow
}


@dataclass(frozen=True, slots=True)
class ResponseContext(Generic[E]):
    """A turn on its way out: the door it leaves by, who encodes it there, and where it is noted."""

    turn: Generation
    api_format: ApiFormat[E]
    encoder: Encoder[E]
    record: Record


@asynccontextmanager
async def running(turn: Generation, admission: Admission, record: Record) -> AsyncIterator[AsyncIterator[Part]]:
    """The parts of a turn, once it has a slot, which it holds for as long as the context lasts. Raises as `slot`."""
    record.wait(turn)
    async with admission.slot(short=turn.counts.prompt <= SHORT_PROMPT):
        record.start()
        async with aclosing(turn.run()) as parts:
            yield parts


async def send_message(answer: ResponseContext[E], admission: Admission, send: Send) -> None:
    """The answer as one body: the fold of its events. Raises whatever fails."""
    events = [*answer.encoder.start(answer.turn.counts)]
    async with running(answer.turn, admission, answer.record) as parts:
        async for part in parts:
            answer.record.note(part)
            events.extend(answer.encoder.encode(part))
    await send_json(send, answer.api_format.fold(events))


class EventStream(Generic[E]):
    """One streamed answer."""

    def __init__(self, answer: ResponseContext[E], admission: Admission) -> None:
        self._turn = answer.turn
        self._door = answer.api_format
        self._encoder = answer.encoder
        self._admission = admission
        self._record = answer.record
        self._outbox = bytearray()
        self._started = False
        self._done = False
        self._waits: asyncio.Future[None] | None = None  # the sender, for something to send
        self._emptied = asyncio.Event()
        self._sending: float | None = None  # since when the socket has been taking what it was given
        self._sent = 0.0  # when it last took something
        self._stalled = False

    async def run(self, send: Send) -> None:
        """Raises what fails before the first byte."""
        producer = asyncio.create_task(self._produce())
        try:
            await self._await_first_part(producer)
            await self._send(send)
        finally:
            producer.cancel()
            await asyncio.wait({producer})

    async def _await_first_part(self, producer: "asyncio.Task[None]") -> None:
        """Wait for the first part, for a failure, or for as long as a client may be left without a word."""
        filled = self._waits = asyncio.get_running_loop().create_future()
        await asyncio.wait({filled, producer}, timeout=MOMENT, return_when=asyncio.FIRST_COMPLETED)
        filled.cancel()
        if producer.done() and not self._started:
            producer.result()  # raises
        self._start()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for event in self._encoder.start(self._turn.counts):
                self._outbox += self._door.frame(event)
            self._outbox += self._door.ping
            self._wake()

    def _wake(self) -> None:
        """Tell the sender that there is something to send. A future for each wait costs less than an event for all."""
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def _produce(self) -> None:
        try:
            async with running(self._turn, self._admission, self._record) as parts:
                async for part in parts:
                    self._take(part)
                    if len(self._outbox) > _OUTBOX_LIMIT:  # the client reads more slowly than the model writes
                        self._emptied.clear()
                        await self._emptied.wait()
        except Exception as error:
            if not self._started:
                raise
            self._fail(error)
        finally:
            self._outbox += self._door.end
            self._done = True
            self._wake()

    def _take(self, part: Part) -> None:
        self._start()
        self._record.note(part)
        for event in self._encoder.encode(part):
            self._outbox += self._door.frame(event)
        self._wake()

    def _fail(self, error: Exception) -> None:
        """Say it in the stream: it never just closes."""
        known = error if isinstance(error, DragomanError) else Unexpected()
        self._record.fail(error)
        self._outbox += self._door.error_frame(known, self._record.request_id)

    async def _send(self, send: Send) -> None:
        """Write what gathers. One clock stands beside it, so that nothing is wound up and stopped again for each event."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        await send(response_start(200, _HEADERS))
        self._sent = loop.time()
        clock = asyncio.create_task(self._watch(task))
        try:
            while self._outbox or not self._done:
                if not self._outbox:  # nor is it news how far the engine has read: only bytes reach the client
                    self._waits = loop.create_future()
                    await self._waits
                    continue
                data, self._outbox = bytes(self._outbox), bytearray()
                self._emptied.set()
                self._sending = loop.time()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sent, self._sending = self._sending, None
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            if not self._stalled:
                raise
            task.uncancel()
            raise ClientStalled("the client stopped reading") from None
        finally:
            clock.cancel()

    async def _watch(self, sender: "asyncio.Task[object]") -> None:
        """Say `ping` into the silence; give up a client that does not read."""
        loop = asyncio.get_running_loop()
        while True:
            if self._sending is not None:
                wait = self._sending + STALL_LIMIT - loop.time()
                if wait <= 0:
                    self._stalled = True
                    sender.cancel()
                    return
                await asyncio.sleep(min(wait, PING_INTERVAL / 4))
                continue
            wait = self._sent + PING_INTERVAL - loop.time()
            if wait <= 0:
                self._outbox += self._door.ping
                self._wake()
            await asyncio.sleep(min(wait if wait > 0 else PING_INTERVAL / 4, STALL_LIMIT))
