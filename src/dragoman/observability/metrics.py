"""The metrics of `GET /metrics`, in the Prometheus format.

Counters are updated from a request's log entry when it is over, so nothing is counted per token; gauges are computed from the
records of open requests whenever one starts to wait, starts to run, or is over. Each application has its own registry. Several
processes share their counts through files in a folder, and any of them serves the total.
"""

import os
from collections import Counter as Tallied
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from dragoman.observability.log_entry import CLIENT_LEFT, RequestLogEntry
from dragoman.observability.model_metrics import ModelCollector, ModelCounts
from dragoman.observability.record import Record

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_FIRST_TOKEN = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
"""Seconds. A cached prompt on a fast GPU takes tens of milliseconds, an agent's uncached one on a laptop minutes."""
_PER_TOKEN = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.35, 0.6, 1)
"""Seconds: from 400 tokens per second down to one."""
_STOP = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds. The best case is one engine step, the worst a prefill chunk on a slow machine."""


class Metrics:
    """Counts requests. `models` returns the counts of the models.

    With `shared`, a folder, it shares its counts with the other processes that use the same folder; from then on, all metrics
    of this process are shared, since the library has one mode per process.
    """

    def __init__(self, models: Callable[[], Sequence[ModelCounts]], shared: Path | None = None) -> None:
        self._scraped = registry = CollectorRegistry()
        if shared is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
            self._scraped = CollectorRegistry()
            self._scraped.register(_SharedCounts(shared))
        self._open: set[Record] = set()
        self._running = self._gauge("running", "Requests that hold a slot of the engine", registry)
        self._waiting = self._gauge("waiting", "Requests that wait for a slot of the engine", registry)
        self._requests = Counter("dragoman_requests", "Requests that are over", ["endpoint", "status"], registry=registry)
        self._errors = Counter("dragoman_errors", "Requests that failed, by Anthropic's type", ["type"], registry=registry)
        self._prompt = Counter("dragoman_prompt_tokens", "Tokens of prompts, cached ones included", registry=registry)
        self._cached = Counter("dragoman_cached_tokens", "Tokens of prompts that were not computed again", registry=registry)
        self._output = Counter("dragoman_output_tokens", "Tokens generated, reasoning included", registry=registry)
        self._thinking = Counter("dragoman_thinking_tokens", "Tokens of reasoning", registry=registry)
        self._drafted = Counter("dragoman_drafted_tokens", "Tokens that speculative decoding drafted", registry=registry)
        self._accepted = Counter("dragoman_accepted_tokens", "Drafted tokens that the model accepted", registry=registry)
        self._repairs = Counter("dragoman_repairs", "Repairs of the output of models", ["kind"], registry=registry)
        self._divergences = Counter(
            "dragoman_divergences", "Prompts that diverged from the one they continue", registry=registry
        )
        self._key_requests = Counter(
            "dragoman_key_requests", "Requests that are over, by the name of their key", ["key", "status"], registry=registry
        )
        self._key_tokens = Counter(
            "dragoman_key_tokens", "Tokens by the name of the key and by kind", ["key", "kind"], registry=registry
        )
        self._first_token = Histogram(
            "dragoman_time_to_first_token_seconds",
            "From a request's arrival to the first part of its answer",
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self._per_token = Histogram(
            "dragoman_time_per_output_token_seconds",
            "Decoding time per token, one value per request",
            buckets=_PER_TOKEN,
            registry=registry,
        )
        self._cancels = Histogram(
            "dragoman_cancel_seconds",
            "From a client's disconnect to the end of its work; the count is the number of disconnects",
            buckets=_STOP,
            registry=registry,
        )
        self._scraped.register(ModelCollector(models))

    @staticmethod
    def _gauge(name: str, about: str, registry: CollectorRegistry) -> Gauge:
        return Gauge(f"dragoman_requests_{name}", about, registry=registry, multiprocess_mode="livesum")

    @contextmanager
    def open(self, record: Record) -> Iterator[None]:
        """Include a request in the gauges for the duration of the context."""
        self._open.add(record)
        record.on_change = self._update_gauges
        try:
            yield
        finally:
            self._open.discard(record)
            self._update_gauges()

    def _update_gauges(self) -> None:
        self._running.set(sum(record.running for record in self._open))
        self._waiting.set(sum(record.waiting for record in self._open))

    def count(self, entry: RequestLogEntry) -> None:
        """Count a request that is over."""
        self._requests.labels(entry.endpoint or "unknown", str(entry.status)).inc()
        if entry.key:
            self._count_key(entry)
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
        self._drafted.inc(entry.tokens.drafted)
        self._accepted.inc(entry.tokens.accepted)
        if entry.seconds.first_token is not None:
            self._first_token.observe(entry.seconds.first_token)
        if entry.seconds.decode is not None and entry.tokens.output:
            self._per_token.observe(entry.seconds.decode / entry.tokens.output)

    def _count_key(self, entry: RequestLogEntry) -> None:
        self._key_requests.labels(entry.key, str(entry.status)).inc()
        if entry.tokens is not None:
            kinds = {"input": entry.tokens.new, "cached": entry.tokens.cached, "output": entry.tokens.output}
            for kind, count in kinds.items():
                self._key_tokens.labels(entry.key, kind).inc(count)

    def page(self) -> bytes:
        """Return the page that Prometheus scrapes."""
        return generate_latest(self._scraped)


class _SharedCounts(Collector):
    """Collects the counts of all processes from the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the metrics. The library fails at the empty file of a process that has just begun to write it."""
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        return MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call, no-any-return]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # its process has ended
        return 0


def forget_process(shared: Path, pid: int) -> None:
    """Remove a process that ended from the gauges of the folder `shared`; what it counted stays."""
    mark_process_dead(pid, str(shared))  # type: ignore[no-untyped-call]
