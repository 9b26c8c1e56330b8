"""The last requests, kept in memory for the page and for `dragoman top`: who asked what of which model, and how it went.

What is kept is bounded: the last 200 requests, and of these as much content, from the newest on, as fits into 64 MiB.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from dragoman.observability.captured import iso_time
from dragoman.observability.details import Details
from dragoman.observability.kept import kept_headers, kept_target
from dragoman.observability.log_entry import RequestLogEntry
from dragoman.observability.record import Record

MOST_REQUESTS: Final = 200
MOST_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the content of all kept requests that are over."""


class Inspect(StrEnum):
    """What is kept of requests: nothing, the fields of the log line, or their content too."""

    OFF = "off"
    METADATA = "metadata"
    FULL = "full"


class Phase(StrEnum):
    """What a request is waiting for or doing."""

    PREPARE = "prepare"  # it is read, and its prompt is rendered
    LOAD = "load"  # it waits for its model
    QUEUE = "queue"  # it waits for a slot
    PREFILL = "prefill"
    DECODE = "decode"
    OVER = "over"


class RequestSummary(Struct, frozen=True):
    """A request so far. `began` is in ISO 8601, `prefilled` the tokens of the prompt in the cache; `has_content`: it is kept.

    `entry` is the log entry that the request would have if it ended now.
    """

    began: str
    phase: Phase
    prefilled: int
    has_content: bool
    entry: RequestLogEntry


@dataclass(slots=True, eq=False)
class RecentRequest:
    """A kept request. `entry` is its log entry once it is over."""

    record: Record
    began: datetime
    entry: RequestLogEntry | None = None

    @property
    def details(self) -> Details | None:
        """Its content, if that is kept."""
        return self.record.details

    @property
    def phase(self) -> Phase:
        """What the request is doing."""
        record = self.record
        if self.entry is not None:
            return Phase.OVER
        if record.started is not None:
            return Phase.PREFILL if record.read is None and record.first is None else Phase.DECODE
        if record.ready is not None:
            return Phase.QUEUE
        return Phase.LOAD if record.asked is not None and record.loaded is None else Phase.PREPARE

    @property
    def summary(self) -> RequestSummary:
        """The request so far."""
        record = self.record
        return RequestSummary(
            iso_time(self.began), self.phase, record.prefilled, self.details is not None, self.entry or record.entry()
        )


class RecentRequests:
    """The last requests of this process; what is kept of them depends on `mode`."""

    def __init__(self, mode: Inspect, most_requests: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES) -> None:
        self.mode = mode
        self.most_requests = most_requests
        self._most_bytes = most_bytes
        self._requests: dict[str, RecentRequest] = {}

    def open(self, record: Record, headers: Mapping[str, str], query: str) -> None:
        """Keep a request that arrived, with `record.details` if content is kept. Secrets in its headers are not kept."""
        if self.mode is Inspect.OFF:
            return
        if self.mode is Inspect.FULL:
            kept, removed = kept_headers(headers.items())
            record.details = Details(kept_target(record.path, query), kept, removed)
        self._requests[record.request_id] = RecentRequest(record, datetime.now(UTC))
        if len(self._requests) > self.most_requests:
            self._forget_oldest()

    def close(self, record: Record, entry: RequestLogEntry) -> None:
        """Keep the log entry of a request that is over, and drop the content of old ones beyond the limit."""
        request = self._requests.get(record.request_id)
        if record.details is not None:
            record.details.settle()
        if request is None:
            return
        request.entry = entry
        request.record.work = None
        if record.details is not None:
            self._trim()

    def find(self, request_id: str) -> RecentRequest | None:
        """Return a kept request by its id."""
        return self._requests.get(request_id)

    def __iter__(self) -> Iterator[RecentRequest]:
        """Yield the kept requests, the newest first."""
        return iter(list(reversed(self._requests.values())))

    def _forget_oldest(self) -> None:
        """Forget the oldest request that is over, or the oldest one if none is."""
        requests = self._requests.values()
        oldest = next((request for request in requests if request.entry is not None), next(iter(requests)))
        del self._requests[oldest.record.request_id]

    def _trim(self) -> None:
        """Drop the content of the oldest requests, so that the rest is within the limit."""
        left = self._most_bytes
        for request in self:
            if request.details is None or request.entry is None:
                continue
            left -= request.details.size
            if left < 0:
                request.record.details = None
