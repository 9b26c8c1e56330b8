"""Tests the spans of requests, and that a client's trace reaches the engine."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from conftest import MODEL, body, live_server
from dragoman.engines import EngineRequest
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.observability import spans
from dragoman.observability.record import Record
from dragoman.observability.tracing import PassingOn
from dragoman.parts.server_tools import ServerCallStart, ServerResult, ServerToolKind, ToolFailure
from server.http import post

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLIENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}


class RecordingEngine(ScriptedEngine):
    """Keeps the headers of the trace that each request carries."""

    def __init__(self) -> None:
        super().__init__([Line("Hello there.")], model=MODEL)
        self.traces: list[Mapping[str, str]] = []

    async def generate(self, request: EngineRequest) -> Any:
        self.traces.append(request.routing.trace)
        async for chunk in super().generate(request):
            yield chunk


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch, engine: RecordingEngine) -> InMemorySpanExporter:
    """The spans of a message and of an invalid request, exported when the server has ended."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(spans, "OTLPSpanExporter", lambda: exporter)
    with live_server(engine, traces=True) as url:
        assert post(url, body(), **CLIENT).status == 200
        assert post(url, {"model": MODEL}).status == 400
    return exporter


def root(exporter: InMemorySpanExporter, status: int) -> ReadableSpan:
    """The span of the request that was answered with that status."""
    found = [
        span for span in exporter.get_finished_spans() if (span.attributes or {}).get("http.response.status_code") == status
    ]
    (span,) = found
    return span


def test_a_request_is_a_span_with_the_names_of_the_conventions(exported: InMemorySpanExporter) -> None:
    span = root(exported, 200)
    assert span.name == f"chat {MODEL}"
    assert span.attributes is not None
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": MODEL,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "http.route": "/v1/messages",
    }
    assert {name: span.attributes.get(name) for name in wanted} == wanted


def test_a_request_joins_the_trace_of_its_client_and_the_engine_that_of_the_request(
    exported: InMemorySpanExporter, engine: RecordingEngine
) -> None:
    span = root(exported, 200)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    (headers,) = engine.traces
    assert headers == {"traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01", "tracestate": "vendor=1"}


def test_the_phases_are_spans_inside_that_of_the_request(exported: InMemorySpanExporter) -> None:
    span = root(exported, 200)
    phases = [one for one in exported.get_finished_spans() if one.parent and one.parent.span_id == span.context.span_id]
    assert [phase.name for phase in phases] == ["prompt", "queue", "prefill", "decode"]
    times = [(phase.start_time, phase.end_time) for phase in phases]
    assert all(span.start_time <= begin <= end <= span.end_time for begin, end in times)
    assert times == sorted(times)


def test_a_run_of_a_tool_is_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(spans, "OTLPSpanExporter", lambda: exporter)
    tracing = spans.SpanTracing()
    record = Record("req_1", "POST", "/v1/messages", endpoint="/v1/messages", model=MODEL)
    trace = tracing.begin(record, {})
    record.add_part(ServerCallStart(ServerToolKind.WEB_SEARCH, "web_search", "srvtoolu_1"))
    record.add_part(
        ServerResult(ServerToolKind.WEB_SEARCH, "srvtoolu_1", ToolFailure(ServerToolKind.WEB_SEARCH, "unavailable"))
    )
    trace.end(record, record.entry())
    tracing.close()
    decode, tool, whole = exporter.get_finished_spans()
    assert decode.name == "decode"
    assert (tool.name, tool.parent) == ("execute_tool web_search", whole.context)
    (run,) = record.tool_runs
    assert run.end is not None
    assert 0 < run.begin < run.end


def test_a_refused_request_has_its_error_and_no_phases(exported: InMemorySpanExporter) -> None:
    span = root(exported, 400)
    assert span.attributes is not None
    assert span.attributes["error.type"] == "invalid_request_error"
    assert span.status.status_code is StatusCode.ERROR
    assert not [one for one in exported.get_finished_spans() if one.parent and one.parent.span_id == span.context.span_id]


def test_no_span_has_content(exported: InMemorySpanExporter) -> None:
    assert "Hello there" not in "".join(span.to_json() for span in exported.get_finished_spans())


def test_without_traces_the_headers_of_the_client_are_passed_on(engine: RecordingEngine) -> None:
    with live_server(engine) as url:
        assert post(url, body(), **CLIENT).status == 200
    assert engine.traces == [CLIENT]


@pytest.mark.parametrize("parent", ["", "00-0-0-01", CLIENT["traceparent"] + "-more", CLIENT["traceparent"].upper()])
def test_headers_that_are_not_a_trace_are_not_passed_on(parent: str) -> None:
    record = Record("req_1", "POST", "/v1/messages")
    assert PassingOn().begin(record, {"traceparent": parent, "tracestate": "a=1"}).headers == {}
