"""Another client: a process that keeps sending one request, and says how long it waited. It imports little, to start soon."""

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
    """What is sent, where to, and the seconds to wait for each step of the answer."""

    url: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    patience: float = 60.0

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the server."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=self.patience)

    def send(self, connection: http.client.HTTPConnection) -> tuple[int | None, float]:
        """The status, or `None` where no whole answer came, and the seconds that took."""
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
        """The same, over a connection of its own."""
        connection = self.connect()
        try:
            return self.send(connection)
        finally:
            connection.close()


@contextmanager
def other_client(request: Request) -> Iterator[Callable[[], tuple[float, int]]]:
    """Send it every 5 ms in another process; the call returns the longest wait and the failures since the last call."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    client = context.Process(target=_keep_sending, args=(request, there), daemon=True)
    client.start()
    there.close()

    def others_wait() -> tuple[float, int]:
        here.send(None)
        found: tuple[float, int] = here.recv()
        return found

    try:
        yield others_wait
    finally:
        client.terminate()
        client.join()


def _keep_sending(request: Request, asked: Connection) -> None:
    connection = request.connect()
    longest, failed = 0.0, 0
    while True:
        status, took = request.send(connection)
        longest, failed = max(longest, took), failed + (status != http.client.OK)
        if asked.poll(_PAUSE):
            asked.recv()
            asked.send((longest, failed))
            longest, failed = 0.0, 0
