"""Tests that no check raises an unexpected exception, whatever a server answers."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from clauses.test_coverage import CLAUSES
from controllable_engine import until
from dragoman.doctor import CHECKS_OF, Api, Client, Outcome, Result, run_checks

JSON, EVENTS = "application/json", "text/event-stream"
START = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n'
BLOCK = b'event: content_block_start\ndata: {"type":"content_block_start","index":%b,"content_block":%b}\n\n'
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n'
END = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":1},"usage":{"output_tokens":"x"}}\n\n'
NONSENSE = [
    (JSON, b""),
    (JSON, b"null"),
    (JSON, b"[]"),
    (JSON, b"{}"),
    (JSON, b'{"data": [1, null], "content": [1], "usage": [], "error": "no"}'),
    (JSON, b'{"data": [{"id": 5}], "content": [{"type": null}], "usage": {"input_tokens": "1"}}'),
    (JSON, b'{"data": [{"id": "m", "capabilities": {}}], "content": null, "stop_reason": 5, "input_tokens": null}'),
    (JSON, b'{"data": [{"id": "m", "capabilities": 1}], "content": [{"type": "tool_use"}], "stop_reason": "tool_use"}'),
    (JSON, b'{"data": {"a": 1}, "has_more": true, "content": [{"type": "thinking"}], "error": {"message": 1, "details": 1}}'),
    ("text/html", b"<html>Not here</html>"),
    (EVENTS, b"data: [DONE]\n\n"),
    (EVENTS, b"data: 1\n\ndata: null\n\nevent: x\ndata: {\n\n"),
    (EVENTS, b"\xff\xfe: \n\n:comment\n\n\n\n"),
    (EVENTS, START % b"null"),
    (EVENTS, START % b'{"usage": 1, "content": 2}' + BLOCK % (b"[]", b"{}")),
    (EVENTS, START % b"{}" + BLOCK % (b"0", b'{"type": "text"}') + DELTA),
    (EVENTS, START % b'{"usage": {"input_tokens": []}}' + BLOCK % (b"null", b'{"type": 5}') + BLOCK % (b"{}", b"null")),
    (EVENTS, START % b"{}" + END),
    (JSON, b'{"choices": [{"message": {"tool_calls": 1}, "delta": []}], "output": [{"type": 1, "content": 5}], "usage": 7}'),
    (EVENTS, b'data: {"choices": [{"delta": {"content": 1, "tool_calls": [1]}}, 1], "usage": []}\n\ndata: [DONE]\n\n'),
    (EVENTS, b'event: response.completed\ndata: {"type":"response.completed","response":{"output":[1]},"output_index":[]}\n\n'),
]  # fmt: skip


class FixedAnswer:
    """An ASGI application that answers every request in the same way."""

    kind, content = JSON, b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            headers = [(b"content-type", self.kind.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.content})


@pytest.fixture(scope="module")
def fixed_answer() -> Iterator[tuple[FixedAnswer, str]]:
    app, listener = FixedAnswer(), socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    until(lambda: server.started)
    yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    listener.close()


async def run_all(url: str, api: Api) -> list[Result]:
    async with Client.connect(url, api=api) as client:
        return [result async for result in run_checks(client, CHECKS_OF[api])]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "content"), NONSENSE)
def test_a_nonsensical_answer_is_a_failed_check(fixed_answer: tuple[FixedAnswer, str], kind: str, content: bytes) -> None:
    app, url = fixed_answer
    app.kind, app.content = kind, content
    for api, checks in CHECKS_OF.items():
        results = asyncio.run(run_all(url, api))
        assert {result.check.id: result.reason for result in results if result.outcome is Outcome.DEFECT} == {}
        assert sum(result.outcome is Outcome.FAIL for result in results) > len(checks) / 3


def test_clauses_of_checks_exist() -> None:
    checks = [check for suite in CHECKS_OF.values() for check in suite]
    assert {clause for check in checks for clause in check.clauses} <= set(CLAUSES)
    assert all(check.clauses for check in checks)
