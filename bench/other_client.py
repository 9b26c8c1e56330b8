"""A process that keeps sending one request, or reads one stream, and reports how long it waited.

It imports little, so that it starts quickly.
"""

import http.client
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

_PAUSE = 0.005


@dataclass(frozen=True, slots=True)
class Request:
    """A request and its address; `timeout` is in seconds for each read of the answer."""

    url: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    timeout: float = 60.0

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the server."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=self.timeout)

    def send(self, connection: http.client.HTTPConnection) -> tuple[int | None, float]:
        """The status, or `None` without a whole answer, and the duration in seconds."""
        began = time.perf_counter()
        status: int | None = None
        try:
            connection.request("POST", self.path, self.body, dict(self.headers))
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, http.client.HTTPException):
            connection.close()
        return status, time.perf_counter() - began

    def send_once(self) -> tuple[int | None, float]:
        """Send it over a new connection."""
        connection = self.connect()
        try:
            return self.send(connection)
        finally:
            connection.close()


@contextmanager
def other_client(request: Request) -> Iterator[Callable[[], tuple[float, int]]]:
    """Send a request every 5 ms in another process.

    The yielded function returns the longest wait and the number of failures since its last call.
    """
    with _process(_keep_sending, request) as client:

        def others_wait() -> tuple[float, int]:
            client.send(None)
            found: tuple[float, int] = client.recv()
            return found

        yield others_wait


@contextmanager
def other_stream(request: Request) -> Iterator[Callable[[], float]]:
    """Read a stream in another process.

    The yielded function returns the longest time between two pieces of it since its last call, once the next piece arrives.
    """
    with _process(_keep_reading, request) as client:

        def longest_gap() -> float:
            client.send(None)
            found: float = client.recv()
            return found

        yield longest_gap


@contextmanager
def _process(run: Callable[[Request, Connection], None], request: Request) -> Iterator[Connection]:
    """Run a function in another process, with the other end of the yielded connection."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    client = context.Process(target=run, args=(request, there), daemon=True)
    client.start()
    there.close()
    try:
        yield here
    finally:
        client.terminate()
        client.join()


def _keep_sending(request: Request, control: Connection) -> None:
    connection = request.connect()
    longest, failed = 0.0, 0
    while True:
        status, took = request.send(connection)
        longest, failed = max(longest, took), failed + (status != http.client.OK)
        if control.poll(_PAUSE):
            control.recv()
            control.send((longest, failed))
            longest, failed = 0.0, 0


def _keep_reading(request: Request, control: Connection) -> None:
    connection = request.connect()
    connection.request("POST", request.path, request.body, dict(request.headers))
    response = connection.getresponse()
    longest, last = 0.0, time.perf_counter()
    while response.read1():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        if control.poll():
            control.recv()
            control.send(longest)
            longest = 0.0
