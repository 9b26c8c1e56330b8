"""Keeps a streaming client's connection alive while the model of its request loads (SSE-19, CC-5).

After ten seconds the response starts, and a `ping` is sent every ten seconds until the answer itself begins. From then on a
failure is an `error` event (SSE-17); before, it is an ordinary HTTP error.
"""

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from starlette.types import Send

from dragoman.api.format import ApiFormat
from dragoman.errors import for_client
from dragoman.observability import Record
from dragoman.server.answering import stream
from dragoman.server.transport.respond import STREAM_HEADERS, response_start

LOADING_PATIENCE: Final = 240.0
"""Seconds that a request without a stream waits for its model: clients wait 300 s for the first byte, and retry."""


class EarlyStream:
    """Starts the stream of a request that waits long, or at the latest `begin` does. Does nothing for one without a stream."""

    def __init__(self, send: Send, api_format: ApiFormat[Any], record: Record) -> None:
        self._send = send
        self._format = api_format
        self._record = record
        self._started = False
        self._answered = False
        self._sending = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None  # runs until the first ping
        self._pinging: asyncio.Task[None] | None = None

    @property
    def patience(self) -> float | None:
        """The most seconds to wait for the model; None if the client sees that the server is alive."""
        return None if self._record.stream else LOADING_PATIENCE

    async def __aenter__(self) -> Self:
        """Begin to wait."""
        if self._record.stream:
            self._timer = asyncio.get_running_loop().call_later(stream.PING_INTERVAL, self._start)
        return self

    def settle(self) -> None:
        """End the wait for the model: a response that has not started does not start early any more."""
        if self._timer is not None:
            self._timer.cancel()

    async def begin(self) -> Send:
        """Start the response unless it has started, and return what sends the rest."""
        self._answered = True
        await self._stop()
        if not self._started:
            await self._send(response_start(200, STREAM_HEADERS))
        return self._send

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Stop, and send a failure as an event if the response has started early."""
        await self._stop()
        if not isinstance(error, Exception) or not self._started or self._answered:
            return False
        self._record.fail(error)
        frame = self._format.error_frame(for_client(error), self._record.request_id) + self._format.end
        await self._send({"type": "http.response.body", "body": frame})
        return True

    def _start(self) -> None:
        self._pinging = asyncio.create_task(self._ping())

    async def _stop(self) -> None:
        self.settle()
        pinging, self._pinging = self._pinging, None
        if pinging is not None:
            async with self._sending:  # a message is sent whole
                pinging.cancel()
            await asyncio.wait({pinging})

    async def _ping(self) -> None:
        async with self._sending:
            self._started = True
            await self._send(response_start(200, STREAM_HEADERS))
        while True:
            async with self._sending:
                await self._send({"type": "http.response.body", "body": self._format.ping, "more_body": True})
            await asyncio.sleep(stream.PING_INTERVAL)
