"""Exports a span for each request by OpenTelemetry, with the names of its conventions for generative AI; the extra `otel`.

Where spans go is set by OpenTelemetry's own environment variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, …). No
span has content of a request. The phases of a request are spans of their own, made when it is over, from its record.
"""

import os
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from dragoman.observability.log_entry import FAILED, RequestLogEntry
from dragoman.observability.record import Record

_NAME: Final = "dragoman"
_OPERATIONS: Final = {
    "/v1/messages": "chat",
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/responses/compact": "chat",
    "/v1/completions": "text_completion",
}
_LEAST_FAILURE: Final = 500
_CONTEXT = TraceContextTextMapPropagator()


class SpanTracing:
    """Makes the spans, and exports them in the background."""

    def __init__(self) -> None:
        name = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": _NAME}
        self._provider = TracerProvider(resource=Resource.create({**name, "service.version": version(_NAME)}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(_NAME, version(_NAME))

    def begin(self, record: Record, headers: Mapping[str, str]) -> "RequestTrace":
        """Begin a request, which arrived with these headers."""
        parent = _CONTEXT.extract(headers)
        began = time.time_ns() - _nanoseconds(record.age)
        span = self._tracer.start_span(f"{record.method} {record.path}", parent, SpanKind.SERVER, start_time=began)
        return RequestTrace(self._tracer, span, began)

    def close(self) -> None:
        """Export what is not exported yet; may take seconds."""
        self._provider.shutdown()


class RequestTrace:
    """The span of one request, which arrived at `began`, in nanoseconds since the epoch."""

    def __init__(self, tracer: Tracer, span: Span, began: int) -> None:
        self._tracer, self._span, self._began = tracer, span, began
        self.headers: dict[str, str] = {}
        _CONTEXT.inject(self.headers, set_span_in_context(span))

    def end(self, record: Record, entry: RequestLogEntry) -> None:
        """End the span, and make those of its phases."""
        if self._span.is_recording():
            operation = _OPERATIONS.get(entry.endpoint)
            self._span.update_name(f"{operation} {entry.model}" if operation and entry.model else _route(entry))
            self._span.set_attributes(dict(_attributes(entry, operation)))
            if entry.ending == FAILED or entry.status >= _LEAST_FAILURE:
                self._span.set_status(Status(StatusCode.ERROR, entry.error))
            self._add_phases(record, entry)
        self._span.end(self._began + _nanoseconds(entry.seconds.total))

    def _add_phases(self, record: Record, entry: RequestLogEntry) -> None:
        """Make a span of each phase that happened, and of each run of a tool of the server."""
        seconds = entry.seconds
        ready = record.ready if record.ready is not None else seconds.total
        begins = {"load": record.asked, "prompt": record.loaded, "queue": record.ready, "prefill": record.started}
        lasts = {"load": seconds.load, "queue": seconds.queue, "prefill": seconds.prefill}
        if record.loaded is not None:
            lasts["prompt"] = ready - record.loaded
        for phase, begin in begins.items():
            if begin is not None and (last := lasts.get(phase)) is not None:
                self._add(phase, begin, begin + last)
        if seconds.decode is not None:
            begin = record.read if record.read is not None else record.first
            self._add("decode", begin or 0.0, (begin or 0.0) + seconds.decode)
        for run in record.tool_runs:
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": run.name, "gen_ai.tool.call.id": run.id}
            self._add(f"execute_tool {run.name}", run.begin, seconds.total if run.end is None else run.end, tool)

    def _add(self, name: str, begin: float, end: float, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        context = set_span_in_context(self._span)
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=self._began + _nanoseconds(begin))
        span.end(self._began + _nanoseconds(end))


def _route(entry: RequestLogEntry) -> str:
    return f"{entry.method} {entry.endpoint}".strip()


def _attributes(entry: RequestLogEntry, operation: str | None) -> Iterator[tuple[str, AttributeValue]]:
    """Yield the attributes of a request; what it does not have is left out."""
    found: dict[str, AttributeValue | None] = {
        "http.request.method": entry.method,
        "http.route": entry.endpoint,
        "url.path": entry.path,
        "http.response.status_code": entry.status,
        "user_agent.original": entry.client,
        "error.type": entry.error,
        "dragoman.request_id": entry.request_id,
        "dragoman.key": entry.key,
        "dragoman.prefix_divergence": entry.diverged,
    }
    if operation:
        found |= {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _NAME,
            "gen_ai.request.model": entry.model,
            "gen_ai.response.model": entry.served or entry.model,
            "gen_ai.conversation.id": entry.session,
            "gen_ai.response.finish_reasons": (entry.ending,) if entry.ending else None,
            "gen_ai.response.time_to_first_chunk": entry.seconds.first_token,
        }
    if operation and entry.tokens:
        found |= {
            "gen_ai.usage.input_tokens": entry.tokens.prompt,
            "gen_ai.usage.cache_read.input_tokens": entry.tokens.cached,
            "gen_ai.usage.output_tokens": entry.tokens.output,
        }
    for name, value in found.items():
        if value is not None and value != "":
            yield name, value


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
