"""The counters behind `GET /metrics`, in the format of Prometheus.

They are taken from a request's entry when it is over, so nothing is counted while tokens flow; the gauges look at the records
of requests under way, when one of those begins to wait, begins to work, or is over. One registry for each application: two in a
process do not share. Several processes do, in files of a folder of theirs, and whichever is asked answers for all.
"""

import os
from collections import Counter as Tallied
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from dragoman.observability.log_entry import CLIENT_LEFT, RequestLogEntry
from dragoman.observability.record import Record

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_FIRST_TOKEN = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
"""Seconds. A cached prompt on a fast card is read in tens of milliseconds, an agent's fresh one on a laptop in minutes."""
_PER_TOKEN = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.35, 0.6, 1)
"""Seconds: 400 tokens per second down to one."""
_STOP = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds. One step of the engine is the aim; a piece of prefill on a slow machine is the worst."""


class Metrics:
    """Counts requests. `restarts` says how often the engine was brought up again.

    With `shared`, a folder, it counts together with the other processes that were given the same; everything that this process
    counts from then on is shared, since the library knows one way or the other.
    """

    def __init__(self, restarts: Callable[[], int], shared: Path | None = None) -> None:
        self._scraped = registry = CollectorRegistry()
        if shared is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
            self._scraped = CollectorRegistry()
            MultiProcessCollector(self._scraped, str(shared))  # type: ignore[no-untyped-call]
        self._under_way: set[Record] = set()
        self._running = self._gauge("running", "Requests that hold a slot of the engine", registry)
        self._waiting = self._gauge("waiting", "Requests that wait for a slot of the engine", registry)
        self._requests = Counter("dragoman_requests", "Requests that are over", ["endpoint", "status"], registry=registry)
        self._errors = Counter("dragoman_errors", "Requests that failed, by Anthropic's type", ["type"], registry=registry)
        self._prompt = Counter("dragoman_prompt_tokens", "Tokens of prompts, cached ones included", registry=registry)
        self._cached = Counter("dragoman_cached_tokens", "Tokens of prompts that were not computed again", registry=registry)
        self._output = Counter("dragoman_output_tokens", "Tokens generated, reasoning included", registry=registry)
        self._thinking = Counter("dragoman_thinking_tokens", "Tokens of reasoning", registry=registry)
        self._repairs = Counter("dragoman_repairs", "What was put right in the output of models", ["kind"], registry=registry)
        self._divergences = Counter("dragoman_divergences", "Prompts that left the one they went on from", registry=registry)
        self._first_token = Histogram(
            "dragoman_time_to_first_token_seconds",
            "From a request's arrival to the first part of its answer",
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self._per_token = Histogram(
            "dragoman_time_per_output_token_seconds",
            "Time of decoding by tokens, one value a request",
            buckets=_PER_TOKEN,
            registry=registry,
        )
        self._cancels = Histogram(
            "dragoman_cancel_seconds",
            "From a client's leaving to the end of its work; the count is that of the clients that left",
            buckets=_STOP,
            registry=registry,
        )
        self._scraped.register(_Restarts(restarts))

    @staticmethod
    def _gauge(name: str, about: str, registry: CollectorRegistry) -> Gauge:
        return Gauge(f"dragoman_requests_{name}", about, registry=registry, multiprocess_mode="livesum")

    @contextmanager
    def under_way(self, record: Record) -> Iterator[None]:
        """Let the gauges see a request for as long as the context lasts."""
        self._under_way.add(record)
        record.on_change = self._look
        try:
            yield
        finally:
            self._under_way.discard(record)
            self._look()

    def _look(self) -> None:
        self._running.set(sum(record.running for record in self._under_way))
        self._waiting.set(sum(record.waiting for record in self._under_way))

    def count(self, entry: RequestLogEntry) -> None:
        """Count a request that is over."""
        self._requests.labels(entry.endpoint or "unknown", str(entry.status)).inc()
        if entry.error:
            self._errors.labels(entry.error).inc()
        if entry.diverged:
            self._divergences.inc()
        for kind, times in Tallied(entry.repairs).items():
            self._repairs.labels(kind).inc(times)
        if entry.ending == CLIENT_LEFT:
            self._cancels.observe(entry.seconds.stop or 0)
        if entry.tokens is None:
            return
        self._prompt.inc(entry.tokens.prompt)
        self._cached.inc(entry.tokens.cached)
        self._output.inc(entry.tokens.output)
        self._thinking.inc(entry.tokens.thinking)
        if entry.seconds.first_token is not None:
            self._first_token.observe(entry.seconds.first_token)
        if entry.seconds.decode is not None and entry.tokens.output:
            self._per_token.observe(entry.seconds.decode / entry.tokens.output)

    def page(self) -> bytes:
        """What a scraper reads."""
        return generate_latest(self._scraped)


class _Restarts(Collector):
    """A count that the engine keeps."""

    def __init__(self, restarts: Callable[[], int]) -> None:
        self._restarts = restarts

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "dragoman_engine_restarts", "How often the engine died and was brought up again", value=self._restarts()
        )
