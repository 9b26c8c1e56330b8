"""Sends an answer, as one body or as a stream of events.

The path of a token:

    engine's socket   engines/reply_stream.py    `ReplyStream.data_received`: HTTP to bytes; the producer's task goes
       │              engines/direct_wait.py     on at once, in the same callback of the event loop, or, where the
       │              engines/paced_wait.py      model writes more than 50 tokens a second, 50 times a second
       ▼
    producer's task   engines/reply_reader.py    `ReplyReader.feed`: bytes to `OutputChunk`s
       │              generation/generation.py   `Generation`: text to parts, by the dialect's parser and the output policies
       │              api/…/encoder.py           `Encoder.encode`: parts to events
       ▼              this file                  `EventStream.put`: events to bytes in the outbox, and a write
    client's socket

Where several parts come at a time, they are left to a second task, the sender, which writes everything that has collected once
the producer waits. A timer beside it adds a `ping` if nothing was sent for a while, whatever the producer waits for (CC-5).

A failure before the first byte is an ordinary HTTP error; after it, it is a final `error` event (SSE-17).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from msgspec import Struct
from starlette.types import Send

from dragoman.api.format import ApiFormat, Encoder
from dragoman.engines import SHORT_PROMPT
from dragoman.errors import ClientStalled, for_client
from dragoman.observability import Record
from dragoman.parts import Ending, Prefill
from dragoman.server.answering.choices import Choices
from dragoman.server.models.admission import Admission, Slots
from dragoman.server.transport.respond import send_json

MOMENT = 0.25
"""Seconds that `message_start` waits for the engine to report how much of the prompt was cached."""
PING_INTERVAL = 10.0
"""Seconds without an event after which a `ping` is sent."""
STALL_LIMIT = 120.0
"""Seconds for which a client may not read before its request is cancelled."""
_OUTBOX_LIMIT = 64 * 1024
_SAME_TIME = 0.001
"""Parts so many seconds apart come at the same time."""

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)


class Output(Protocol[E_contra]):
    """Where the events of an answer go."""

    def start(self) -> None:
        """Put out the events that begin the answer, unless they are; called before a part until a choice answers."""

    async def put(self, events: Sequence[E_contra]) -> None:
        """Put out the events of a part."""


@dataclass(frozen=True, slots=True)
class ResponseContext(Generic[E]):
    """An answer to send: its choices with an encoder for each, its API format and the request's record.

    `keep` is awaited when a choice is complete, before its last events are sent.
    """

    choices: Choices
    api_format: ApiFormat[E]
    encoders: Sequence[Encoder[E]]
    record: Record
    keep: Callable[[], Awaitable[None]]

    def start(self) -> list[E]:
        """Return the events that begin the answer."""
        pairs = zip(self.encoders, self.choices.runs, strict=True)
        return [event for encoder, generation in pairs for event in encoder.start(generation.counts, generation.prompt_tokens)]

    def run(self, slots: Slots, output: Output[E]) -> Awaitable[None]:
        """Run all choices, and put their events out. Awaiting it raises like `slot`, and what fails first."""
        self.record.wait(self.choices)
        return self.choices.run(partial(self._run, slots, output))

    async def _run(self, slots: Slots, output: Output[E], index: int, began: Callable[[], None]) -> None:
        """Run one choice once it has a slot, which it holds to its end. Calls `began` when it has begun to answer."""
        generation, encoder = self.choices.runs[index], self.encoders[index]
        observe = self.record.observer(index)
        answers = False
        async with slots.slot(short=generation.counts.prompt <= SHORT_PROMPT):
            self.record.start()
            async with aclosing(generation.run()) as parts:
                async for part in parts:
                    if not answers:
                        output.start()
                    observe(part)
                    events = encoder.encode(part)
                    if type(part) is Ending:
                        await self.keep()
                    if not answers and type(part) is not Prefill:
                        answers = True
                        began()
                    await output.put(events)


class _Collected(Generic[E]):
    """Collects all events."""

    def __init__(self, answer: ResponseContext[E]) -> None:
        self.events = answer.start()

    def start(self) -> None:
        """Do nothing: the first events are there."""

    async def put(self, events: Sequence[E]) -> None:
        """Add the events of a part."""
        self.events.extend(events)


async def whole_message(answer: ResponseContext[E], slots: Slots) -> Struct:
    """Return the answer as one body, folded from its events. Raises whatever fails."""
    collected = _Collected(answer)
    await answer.run(slots, collected)
    return answer.api_format.fold(collected.events)


async def send_message(answer: ResponseContext[E], slots: Slots, send: Send) -> None:
    """Send the answer as one body. Raises whatever fails."""
    await send_json(send, await whole_message(answer, slots))


class EventStream(Generic[E]):
    """Sends one answer as a stream of events."""

    def __init__(self, answer: ResponseContext[E], admission: Admission) -> None:
        self._answer = answer
        self._format = answer.api_format
        self._admission = admission
        self._record = answer.record
        self._outbox = bytearray()
        self._started = False
        self._done = False
        self._loop = asyncio.get_running_loop()
        self._send: Send | None = None  # set once the response has started
        self._waits: asyncio.Future[None] | None = None  # the sender's wait for something to send
        self._emptied = asyncio.Event()
        self._sending: float | None = None  # when the write in progress began
        self._sent = 0.0  # when the last write began
        self._collected = 0  # parts in the outbox
        self._batches = False  # parts come several at a time
        self._stalled = False

    async def run(self, begin: Callable[[], Awaitable[Send]]) -> None:
        """Send the stream; `begin` starts the response. Raises what fails before the first byte."""
        producer = asyncio.create_task(self._produce())
        try:
            await self._await_first_part(producer)
            await self._send_all(await begin())
        finally:
            producer.cancel()
            await asyncio.wait({producer})

    async def _await_first_part(self, producer: "asyncio.Task[None]") -> None:
        """Wait for the first part or a failure, at most `MOMENT` seconds."""
        filled = self._waits = self._loop.create_future()
        await asyncio.wait({filled, producer}, timeout=MOMENT, return_when=asyncio.FIRST_COMPLETED)
        filled.cancel()
        if producer.done() and not self._started:
            producer.result()  # raises
        self.start()

    def start(self) -> None:
        """Put the events that begin the answer into the outbox, once."""
        if not self._started:
            self._started = True
            self._add(self._answer.start())
            self._outbox += self._format.ping
            self._wake()

    def _add(self, events: Sequence[E]) -> None:
        for event in events:
            self._outbox += self._format.frame(event)

    def _wake(self) -> None:
        """Wake the sender. A future for each wait costs less than one event object for all waits."""
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def _produce(self) -> None:
        try:
            await self._answer.run(self._admission, self)
        except Exception as error:
            if not self._started:
                raise
            self._fail(error)
        finally:
            self._outbox += self._format.end
            self._done = True
            self._wake()

    async def put(self, events: Sequence[E]) -> None:
        """Send the events of a part; wait if the client reads more slowly than the model generates."""
        if not events:
            return
        self._add(events)
        self._collected += 1
        if self._send is not None and self._sending is None and not self._batches:
            await self._write(self._send)
        if self._outbox:
            self._wake()
        if len(self._outbox) > _OUTBOX_LIMIT:
            self._emptied.clear()
            await self._emptied.wait()

    async def _write(self, send: Send) -> None:
        """Write the outbox."""
        data, self._outbox = bytes(self._outbox), bytearray()
        if len(data) > _OUTBOX_LIMIT:  # a producer waits
            self._emptied.set()
        now = self._loop.time()
        self._batches, self._collected = self._collected > 1 or now - self._sent < _SAME_TIME, 0
        self._sent = self._sending = now
        try:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        finally:
            self._sending = None

    def _fail(self, error: Exception) -> None:
        """Record the failure, and send it as an error event, so that the stream never ends silently."""
        self._record.fail(error)
        self._add(self._answer.encoders[0].fail(for_client(error), self._record.request_id))

    async def _send_all(self, send: Send) -> None:
        """Write the outbox until the producer is done. One timer task runs beside it, so that no event needs its own timer."""
        task = asyncio.current_task()
        assert task is not None
        self._sent, self._send = self._loop.time(), send
        timer = asyncio.create_task(self._watch(task))
        try:
            while self._outbox or not self._done:
                if self._outbox and self._sending is None:
                    await self._write(send)
                else:
                    self._waits = self._loop.create_future()
                    await self._waits
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
        while True:
            if self._sending is not None:
                wait = self._sending + STALL_LIMIT - self._loop.time()
                if wait <= 0:
                    self._stalled = True
                    sender.cancel()
                    return
                await asyncio.sleep(min(wait, PING_INTERVAL / 4))
                continue
            wait = self._sent + PING_INTERVAL - self._loop.time()
            if wait <= 0:
                self._add(self._answer.encoders[0].ping())
                self._wake()
            await asyncio.sleep(min(wait if wait > 0 else PING_INTERVAL / 4, STALL_LIMIT))
