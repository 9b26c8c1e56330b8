"""What clients get when the worker process that serves them is killed."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from conftest import body, user
from controllable_engine import until
from server.http import Wire, get, parse_events, post, wire

from .process import script, serving
from .test_workers import children, connections_of, dealt, replace_first

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
LINES = (
    '{"when": "long", "output": "%s", "delay_ms": 20}' % ("word " * 4000),
    '{"when": "late", "output": "Late.", "delay_ms": 1500, "chunk": 0}',
    '{"output": "Hello there."}',
)
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")
CHUNKED = b"\r\n\r\n"


def asking(path: str, text: str, **fields: Any) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"model": "claude-x", "input": text, "store": False, **fields}
    return body(user(text), **fields)


def files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def events(received: bytes) -> str:
    """The events of a chunked response, which must end in good order."""
    _, _, rest = received.partition(CHUNKED)
    content = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not (length := int(size, 16)):
            assert rest == b"\r\n"
            return content.decode()
        content += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]


def running(url: str) -> int:
    page = get(url, "/metrics").content.decode()
    return int(float(page.partition("\ndragoman_requests_running ")[2].split("\n")[0]))


def test_a_killed_workers_clients_get_an_error_and_no_one_else_notices(tmp_path: Path) -> None:
    options = ("--engine", "scripted", "--script", script(tmp_path, *LINES), "--workers", "2")
    with ExitStack() as stack:
        server = stack.enter_context(serving(*options))
        workers = children(server.pid)
        until(lambda: dealt(server, workers, 2) == [1, 1])
        until(lambda: not any(map(connections_of, workers)))
        before = files(server.pid)

        def pair() -> list[Wire]:
            return [stack.enter_context(wire(server.url)) for _ in workers]

        streams = {path: pair() for path in PATHS}
        begun: dict[Wire, bytes] = {}
        for path, wires in streams.items():
            for stream in wires:
                stream.send(asking(path, "long", stream=True), path)
                begun[stream] = stream.read_until(b"word")
        waiting, idle, silent = pair(), pair(), pair()
        for one in waiting:
            one.send(asking(PATHS[0], "late"))
        for one in idle:
            one.send(body())
            one.read_until(b"Hello there.")
        for one in silent:
            one.sock.sendall(b"POST /v1/mess")
        until(lambda: running(server.url) == len(begun) + len(waiting))
        its = connections_of(workers[0])

        def killed(wires: list[Wire]) -> tuple[Wire, Wire]:
            """The connection of the worker that is killed, and that of the other."""
            first, second = sorted(wires, key=lambda one: one.sock.getsockname()[1] not in its)
            return first, second

        os.kill(workers[0], signal.SIGKILL)
        for path, wires in streams.items():
            ended, other = killed(wires)
            found = events(begun[ended] + ended.read_all())
            assert CHECKS[path](found), found[-500:]
            other.read_until(b"word")
        refused, answered = killed(waiting)
        head, _, content = refused.read_all().partition(CHUNKED)
        assert head.startswith(b"HTTP/1.1 529 ")
        assert b"\r\nx-should-retry: true" in head
        assert json.loads(content)["error"]["type"] == "overloaded_error"
        answered.read_until(b"Late.")
        assert killed(silent)[0].read_all() == b""
        for one in idle:
            one.send(body())
            one.read_until(b"Hello there.")
        for wires in (*streams.values(), waiting, idle, silent):
            for one in wires:
                one.sock.close()
        until(lambda: files(server.pid) <= before)


def _is_anthropic(found: str) -> bool:
    """Whether a stream of the Messages API ends with an error that says to repeat the request."""
    last = parse_events(found.encode())[-1]
    return last["type"] == "error" and last["error"]["type"] == "overloaded_error" and last["request_id"].startswith("req_")


def _is_chat(found: str) -> bool:
    error, end, _ = found.split("\n\n")[-3:]
    return json.loads(error.removeprefix("data: "))["error"]["type"] == "server_error" and end == "data: [DONE]"


def _is_responses(found: str) -> bool:
    return '"type":"error"' in found.split("\n\n")[-2]


CHECKS: dict[str, Callable[[str], bool]] = dict(zip(PATHS, (_is_anthropic, _is_chat, _is_responses), strict=True))


@pytest.mark.slow
def test_the_official_sdks_report_the_error_and_repeat_what_had_not_begun(tmp_path: Path) -> None:
    with (
        serving("--engine", "scripted", "--script", script(tmp_path, *LINES), "--workers", "2") as server,
        anthropic.Anthropic(base_url=server.url, api_key="none") as claude,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as gpt,
        ThreadPoolExecutor(16) as threads,
    ):
        workers = children(server.pid)
        until(lambda: dealt(server, workers, 2) == [1, 1])
        long: Any = {"model": "claude-x", "messages": [{"role": "user", "content": "long"}], "stream": True}
        streams = [
            *(claude.messages.create(**long, max_tokens=9000) for _ in workers),
            *(gpt.chat.completions.create(**long) for _ in workers),
            *(gpt.responses.create(model="claude-x", input="long", stream=True, store=False) for _ in workers),
        ]
        late: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "late"}]}
        answers = [threads.submit(claude.messages.create, **late) for _ in range(4)]
        until(lambda: running(server.url) == len(streams) + len(answers), pause=0.05)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        kinds = (anthropic.APIStatusError, anthropic.APIStatusError, openai.APIError, openai.APIError)
        for stream, kind in zip(streams, kinds, strict=False):
            with pytest.raises(kind, match="has ended"):
                list(stream)
        for stream in streams[len(kinds) :]:
            assert list(stream)[-1].type == "error"
        assert [answer.result(30).content[0].text for answer in answers] == ["Late."] * 4


@pytest.mark.slow
def test_under_load_a_killed_worker_fails_only_the_streams_it_had(tmp_path: Path) -> None:
    lines = ('{"when": "stream", "output": "%s", "delay_ms": 5}' % ("word " * 40), '{"output": "Hello there."}')
    with (
        serving("--engine", "scripted", "--script", script(tmp_path, *lines), "--workers", "3") as server,
        ThreadPoolExecutor(12) as threads,
    ):
        ends_at = time.monotonic() + 6

        def client(number: int) -> list[Exception]:
            """Send requests until the end, streams or not, on a connection that is kept; returns the failures."""
            failures: list[Exception] = []
            with anthropic.Anthropic(base_url=server.url, api_key="none") as claude:
                while time.monotonic() < ends_at:
                    text = "stream" if number % 2 else "short"
                    try:
                        messages: Any = [{"role": "user", "content": text}]
                        given = claude.messages.create(
                            model="claude-x", max_tokens=100, messages=messages, stream=bool(number % 2)
                        )
                        if number % 2:
                            assert list(given)[-1].type == "message_stop"
                    except anthropic.APIStatusError as error:
                        failures.append(error)
            return failures

        clients = [threads.submit(client, number) for number in range(12)]
        for _ in range(3):
            until(lambda: running(server.url) >= 3)
            replace_first(server)
        failures = [done.result() for done in clients]
        assert not any(failures[0::2]), failures
        assert all("has ended" in str(error) for found in failures for error in found)
        assert sum(map(len, failures[1::2])) <= 3 * 6
        assert post(server.url, body()).status == HTTPStatus.OK
