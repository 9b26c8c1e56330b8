"""Sends a generation, as one body or as a stream of events.

Two tasks of a stream share an outbox. The producer runs the generation and encodes its parts; the sender writes everything that
was added since its last write, so that a fast engine costs one write for many events and a slow one a write per event. A timer
beside the sender adds a `ping` if nothing was sent for a while, whatever the producer waits for (CC-5).

A failure before the first byte is an ordinary HTTP error; after it, it is a final `error` event (SSE-17).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.types import Send

from dragoman.api.format import ApiFormat, Encoder
from dragoman.engines import SHORT_PROMPT
from dragoman.errors import ClientStalled, DragomanError, Unexpected
from dragoman.generation import Generation
from dragoman.observability import Record
from dragoman.parts import Ending, Part
from dragoman.server.admission import Admission
from dragoman.server.respond import response_start, send_json

MOMENT = 0.25
"""Seconds that `message_start` waits for the engine to report how much of the prompt was cached."""
PING_INTERVAL = 10.0
"""Seconds without an event after which a `ping` is sent."""
STALL_LIMIT = 120.0
"""Seconds for which a client may not read before its request is cancelled."""
_OUTBOX_LIMIT = 64 * 1024

E = TypeVar("E")

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # asks proxies not to buffer the stream
}


@dataclass(frozen=True, slots=True)
class ResponseContext(Generic[E]):
    """A generation to send, with its API format, encoder and request record.

    `keep` is awaited when the answer is complete, before its last events are sent.
    """

    generation: Generation
    api_format: ApiFormat[E]
    encoder: Encoder[E]
    record: Record
    keep: Callable[[], Awaitable[None]]

    async def events(self, part: Part) -> Sequence[E]:
        """Record a part and return its events; those of the ending once the answer is kept."""
        self.record.add_part(part)
        events = self.encoder.encode(part)
        if type(part) is Ending:
            await self.keep()
        return events


@asynccontextmanager
async def running(generation: Generation, admission: Admission, record: Record) -> AsyncIterator[AsyncIterator[Part]]:
    """Yield the parts of a generation once it has a slot, which it holds until the context ends. Raises like `slot`."""
    record.wait(generation)
    async with admission.slot(short=generation.counts.prompt <= SHORT_PROMPT):
        record.start()
        async with aclosing(generation.run()) as parts:
            yield parts


async def send_message(answer: ResponseContext[E], admission: Admission, send: Send) -> None:
    """Send the generation as one body, folded from its events. Raises whatever fails."""
    events = [*answer.encoder.start(answer.generation.counts)]
    async with running(answer.generation, admission, answer.record) as parts:
        async for part in parts:
            events.extend(await answer.events(part))
    await send_json(send, answer.api_format.fold(events))


class EventStream(Generic[E]):
    """Sends one generation as a stream of events."""

    def __init__(self, answer: ResponseContext[E], admission: Admission) -> None:
        self._answer = answer
        self._generation = answer.generation
        self._format = answer.api_format
        self._encoder = answer.encoder
        self._admission = admission
        self._record = answer.record
        self._outbox = bytearray()
        self._started = False
        self._done = False
        self._waits: asyncio.Future[None] | None = None  # the sender's wait for something to send
        self._emptied = asyncio.Event()
        self._sending: float | None = None  # when the write in progress began
        self._sent = 0.0  # when the last write began
        self._stalled = False

    async def run(self, send: Send) -> None:
        """Send the stream. Raises what fails before the first byte."""
        producer = asyncio.create_task(self._produce())
        try:
            await self._await_first_part(producer)
            await self._send(send)
        finally:
            producer.cancel()
            await asyncio.wait({producer})

    async def _await_first_part(self, producer: "asyncio.Task[None]") -> None:
        """Wait for the first part or a failure, at most `MOMENT` seconds."""
        filled = self._waits = asyncio.get_running_loop().create_future()
        await asyncio.wait({filled, producer}, timeout=MOMENT, return_when=asyncio.FIRST_COMPLETED)
        filled.cancel()
        if producer.done() and not self._started:
            producer.result()  # raises
        self._start()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._put(self._encoder.start(self._generation.counts))
            self._outbox += self._format.ping
            self._wake()

    def _put(self, events: Sequence[E]) -> None:
        for event in events:
            self._outbox += self._format.frame(event)

    def _wake(self) -> None:
        """Wake the sender. A future for each wait costs less than one event object for all waits."""
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def _produce(self) -> None:
        try:
            async with running(self._generation, self._admission, self._record) as parts:
                async for part in parts:
                    self._start()
                    self._put(await self._answer.events(part))
                    self._wake()
                    if len(self._outbox) > _OUTBOX_LIMIT:  # the client reads more slowly than the model generates
                        self._emptied.clear()
                        await self._emptied.wait()
        except Exception as error:
            if not self._started:
                raise
            self._fail(error)
        finally:
            self._outbox += self._format.end
            self._done = True
            self._wake()

    def _fail(self, error: Exception) -> None:
        """Record the failure, and send it as an error event, so that the stream never ends silently."""
        known = error if isinstance(error, DragomanError) else Unexpected()
        self._record.fail(error)
        self._put(self._encoder.fail(known, self._record.request_id))

    async def _send(self, send: Send) -> None:
        """Write the outbox until the producer is done. One timer task runs beside it, so that no event needs its own timer."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        await send(response_start(200, HEADERS))
        self._sent = loop.time()
        timer = asyncio.create_task(self._watch(task))
        try:
            while self._outbox or not self._done:
                if not self._outbox:  # prefill progress wakes it too, and adds no bytes
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
            timer.cancel()

    async def _watch(self, sender: "asyncio.Task[object]") -> None:
        """Send a `ping` after a silence, and cancel the sender if the client does not read."""
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
                self._put(self._encoder.ping())
                self._wake()
            await asyncio.sleep(min(wait if wait > 0 else PING_INTERVAL / 4, STALL_LIMIT))
