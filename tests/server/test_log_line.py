"""The log lines and metrics of a live server."""

import json
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from conftest import MODEL, Serve, body, live_server, user
from controllable_engine import FIRST_TOKEN, ControllableEngine, until
from dragoman.observability import LOG_FORMATS
from server.http import Answer, get, post, wire

TOOL = {"name": "now", "input_schema": {"type": "object"}}
SAID = '<think>Let me see.</think>Sure. <tool_call>{"name": "now", "arguments": {}}</tool_call>'


class RequestLog(logging.Handler):
    """The request log as JSON. A line is written after the client has its answer, so that it may be one of the test before."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(LOG_FORMATS["json"]())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def of(self, answer: Answer) -> dict[str, Any]:
        """Wait for the line of this answer, and return it."""
        until(lambda: any(self._found(answer)))
        (line,) = self._found(answer)
        return line

    def _found(self, answer: Answer) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["request_id"] == answer.headers["request-id"]]


@pytest.fixture
def log() -> Iterator[RequestLog]:
    logger, handler = logging.getLogger("dragoman.request"), RequestLog()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_logged_in_full(engine: ControllableEngine, log: RequestLog, stream: bool) -> None:
    url = engine.says(SAID)
    engine.cached = 7
    request = body(user("What hour is it?"), system="Be brief.", tools=[TOOL], thinking={"type": "adaptive"}, stream=stream)
    answer = post(
        url, request, user_agent="claude-cli/2.1", x_claude_code_session_id="b1946ac9-24", x_claude_code_agent_id="a77"
    )
    line = log.of(answer)
    seconds = line.pop("seconds")
    assert set(seconds) == {"total", "prepare", "queue", "prefill", "decode", "first_token"}
    assert all(0 <= value <= seconds["total"] for value in seconds.values())
    assert line.pop("tokens_per_second") > 0
    assert line.pop("time")
    prompt, thinking = line["tokens"]["prompt"], line["tokens"]["thinking"]
    assert 0 < thinking < 7
    assert line == {
        "level": "info",
        "logger": "dragoman.request",
        "request_id": answer.headers["request-id"],
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "/v1/messages",
        "status": 200,
        "client": "claude-cli/2.1",
        "session": "b1946ac9-24",
        "agent": "a77",
        "model": MODEL,
        **({"stream": True} if stream else {}),
        "body_bytes": len(json.dumps(request)),
        "content": {
            "system": {"count": 1, "characters": 9},
            "tools": {"count": 1, "characters": 62},
            "text": {"count": 1, "characters": 16},
        },
        "tokens": {"prompt": prompt, "new": prompt - 7, "cached": 7, "output": 7, "thinking": thinking},
        "calls": 1,
        "ending": "tool_use",
        "notes": ["ignored by the engine: affinity"],
    }


def test_a_count_is_logged_without_tokens(engine: ControllableEngine, log: RequestLog) -> None:
    line = log.of(post(engine.url, body(user("Hi")), "/v1/messages/count_tokens"))
    assert (line["endpoint"], line["model"], line["content"]) == (
        "/v1/messages/count_tokens",
        MODEL,
        {"text": {"count": 1, "characters": 2}},
    )
    assert {"tokens", "ending", "calls"}.isdisjoint(line)


def test_a_refusal_is_logged_with_its_reason(engine: ControllableEngine, log: RequestLog) -> None:
    line = log.of(post(engine.url, {"model": MODEL, "messages": []}))
    assert (line["status"], line["ending"], line["error"], line["message"]) == (
        HTTPStatus.BAD_REQUEST,
        "error",
        "invalid_request_error",
        "max_tokens: Field required",
    )


def test_a_stream_that_fails_late_is_logged_as_an_error_with_status_200(engine: ControllableEngine, log: RequestLog) -> None:
    line = log.of(post(engine.says("one two three", finish_reason="error"), body(stream=True)))
    assert (line["status"], line["error"], line["tokens"]["output"]) == (HTTPStatus.OK, "api_error", 3)


@pytest.mark.parametrize(("path", "endpoint"), [("/v1/models/unknown", "/v1/models/{model}"), ("/nowhere", "")])
def test_the_endpoint_is_the_route_or_empty(engine: ControllableEngine, log: RequestLog, path: str, endpoint: str) -> None:
    answer = get(engine.url, path)
    assert answer.status == HTTPStatus.NOT_FOUND
    assert log.of(answer)["endpoint"] == endpoint


def test_probes_are_not_logged(engine: ControllableEngine, log: RequestLog) -> None:
    probes = [get(engine.url, path) for path in ("/", "/health", "/api/hello", "/metrics")]
    assert {answer.status for answer in probes} == {HTTPStatus.OK}
    assert log.of(get(engine.url, "/v1/models"))["path"] == "/v1/models"
    assert not {line["path"] for line in log.lines} & {"/", "/health", "/api/hello", "/metrics"}


def scraped(url: str, *names: str) -> list[str]:
    """Return the samples of our metrics."""
    answer = get(url, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    begin = tuple(f"dragoman_{name}" for name in names)
    return [line for line in answer.content.decode().splitlines() if line.startswith(begin) and "_created" not in line]


def test_metrics_count_requests_but_not_probes(serve: Serve) -> None:
    url = serve(SAID)
    post(url, body(tools=[TOOL], stream=True))
    post(url, body(max_tokens=-1))
    get(url, "/health")
    until(lambda: len(scraped(url, "requests_total")) == 2)
    assert scraped(url, "requests_total", "errors_total", "output_tokens_total", "time_to_first_token_seconds_count") == [
        'dragoman_requests_total{endpoint="/v1/messages",status="200"} 1.0',
        'dragoman_requests_total{endpoint="/v1/messages",status="400"} 1.0',
        'dragoman_errors_total{type="invalid_request_error"} 1.0',
        "dragoman_output_tokens_total 7.0",
        "dragoman_time_to_first_token_seconds_count 1.0",
    ]


def test_metrics_need_the_key(serve: Serve) -> None:
    url = serve(api_key="sesame")
    assert get(url, "/metrics").status == HTTPStatus.UNAUTHORIZED
    assert get(url, "/metrics", authorization="Bearer sesame").status == HTTPStatus.OK


@pytest.mark.clause("TRN-18")
def test_gauges_show_the_queue_and_disconnects_are_timed(log: RequestLog) -> None:
    engine = ControllableEngine(slots=1)
    with live_server(engine, id=MODEL) as url:
        engine.hold(before=FIRST_TOKEN)
        with wire(url) as working:
            working.send(body(stream=True))
            until(lambda: engine.waiting == 1)
            with wire(url) as queued:
                queued.send(body())
                busy = ["dragoman_requests_running 1.0", "dragoman_requests_waiting 1.0"]
                until(lambda: scraped(url, "requests_running", "requests_waiting") == busy)
            until(lambda: scraped(url, "requests_waiting") == ["dragoman_requests_waiting 0.0"])
        until(lambda: scraped(url, "cancel_seconds_count") == ["dragoman_cancel_seconds_count 2.0"])
        assert scraped(url, "requests_running", "requests_waiting") == [line.replace("1.0", "0.0") for line in busy]
    lines = {"tokens" in line: line for line in log.lines}
    assert [lines[begun]["ending"] for begun in (True, False)] == ["client_left", "client_left"]
    assert [lines[begun]["status"] for begun in (True, False)] == [499, 499]
    assert 0 <= lines[True]["seconds"]["stop"] < 5
