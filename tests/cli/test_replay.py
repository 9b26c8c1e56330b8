"""Tests `dragoman replay`, which sends captured requests again."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from captured import file_of
from conftest import MODEL, body, live_server, user
from controllable_engine import ControllableEngine
from dragoman.cli import main
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed
from dragoman.observability import CapturedExchange
from dragoman.observability.response_summary import ResponseSummary, summarize
from server.http import get, post

KEY = "sesame"
TOOL = {"name": "now", "input_schema": {"type": "object"}}
CALLING = '<think>Hm.</think>Sure. <tool_call>{"name": "now", "arguments": {"zone": "UTC"}}</tool_call>'
SCRIPT = [Line(CALLING, when="time"), Line("one two three", when="late", finish_reason="error"), Line("Hello there.")]
TIME: dict[str, Any] = body(user("What time is it?"), tools=[TOOL], thinking={"type": "adaptive"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captured")


@pytest.fixture(scope="module")
def server_url(folder: Path) -> Iterator[str]:
    """A server that captures requests and requires a key."""
    engine = ScriptedEngine(SCRIPT, model=MODEL)
    with live_server(engine, api_key=KEY, capture=folder) as url:
        yield url


def captured(url: str, folder: Path, request: Any, path: str = "/v1/messages") -> Path:
    """Send a request and return its captured file."""
    return file_of(folder, post(url, request, path, x_api_key=KEY))


def replayed(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def test_the_same_server_gives_the_same_answers(server_url: str, folder: Path, tmp_path: Path) -> None:
    files = [
        captured(server_url, folder, {**TIME, "stream": True}),
        captured(server_url, folder, TIME),
        captured(server_url, folder, body(user("Come late"), stream=True)),
        captured(server_url, folder, TIME, "/v1/messages/count_tokens"),
        captured(server_url, folder, b"{"),
        captured(server_url, folder, body(model="unknown")),
        file_of(folder, get(server_url, "/v1/models?limit=1", x_api_key=KEY)),
    ]
    for path in files:
        path.rename(tmp_path / path.name)
    found = replayed(tmp_path, "--url", server_url, "--key", KEY)
    lines = found.output.splitlines()
    assert found.exit_code == 0, found.output
    assert [line.split()[:2] for line in lines] == [["same", path.name] for path in sorted(files)]
    assert lines[0].endswith("200  tool_use  thinking 3, text 5, tool_use(now) 15")
    assert lines[2].endswith("200  text 13, error(api_error) 42")
    assert "input_tokens" in lines[3]
    assert replayed(tmp_path, "--url", server_url).exit_code == 1  # without the key


def test_another_text_is_reported_and_is_not_a_failure(server_url: str, folder: Path, engine: ControllableEngine) -> None:
    path = captured(server_url, folder, body())
    found = replayed(path, "--url", engine.says("Hello to you all.", finish_reason="length"))
    assert found.exit_code == 0
    assert [line.strip() for line in found.output.splitlines()[1:]] == [
        "stop_reason: end_turn became max_tokens",
        "text: 12 characters became 17",
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_other_blocks_are_a_failure(server_url: str, folder: Path, engine: ControllableEngine, stream: bool) -> None:
    path = captured(server_url, folder, {**TIME, "stream": stream})
    found = replayed(path, "--url", engine.url)
    assert found.exit_code == 1
    assert found.output.startswith("DIFFERS  ")
    assert "blocks: thinking, text, tool_use(now) became text" in found.output


def test_another_status_is_a_failure(server_url: str, folder: Path, engine: ControllableEngine) -> None:
    path = captured(server_url, folder, body())
    engine.failure, engine.fails_at_once = EngineFailed("it died"), True
    found = replayed(path, "--url", engine.url)
    assert found.exit_code == 1
    assert "status: 200 became 500" in found.output


def test_a_stream_that_breaks_off_is_a_failure(server_url: str, folder: Path) -> None:
    path = captured(server_url, folder, body(stream=True))
    exchange = CapturedExchange.read(path)
    with socket.create_server(("127.0.0.1", 0)) as breaking:
        sent = exchange.response.content
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(sent) + 1}\r\n\r\n".encode()

        def answer() -> None:
            client, _ = breaking.accept()
            with client:
                received = b""
                while not received.endswith(exchange.request.content):
                    received += client.recv(1 << 16)
                client.sendall(head + sent)

        thread = threading.Thread(target=answer)
        thread.start()
        found = replayed(path, "--url", f"http://127.0.0.1:{breaking.getsockname()[1]}")
        thread.join(20)
    assert found.exit_code == 1
    assert "the answer was cut" in found.output


def test_only_the_beginning_of_an_abandoned_answer_must_agree(
    server_url: str, folder: Path, engine: ControllableEngine, tmp_path: Path
) -> None:
    exchange = CapturedExchange.read(captured(server_url, folder, body(stream=True)))
    begun = next(index for index, (_, text) in enumerate(exchange.response.body) if "content_block_start" in text) + 1
    cut = replace(exchange.response, body=exchange.response.body[:begun], whole=False)
    replace(exchange, response=cut).write(tmp_path)
    assert replayed(tmp_path, "--url", engine.says("one two three four")).exit_code == 0
    found = replayed(tmp_path, "--url", engine.says("<think>one</think>two"))
    assert found.exit_code == 1
    assert "the client had disconnected" in found.output
    replace(exchange, response=replace(cut, status=0, body=())).write(tmp_path)  # the client disconnected before the answer
    assert replayed(tmp_path, "--url", engine.url).exit_code == 0


def test_an_incomplete_request_is_not_sent(server_url: str, folder: Path) -> None:
    path = file_of(folder, post(server_url, body()))
    found = replayed(path, "--url", server_url)
    assert (found.exit_code, found.output.split()[0]) == (0, "skipped")


def test_an_invalid_file_and_an_unreachable_server_are_reported(server_url: str, folder: Path, tmp_path: Path) -> None:
    path = captured(server_url, folder, body())
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gone = replayed(path, "--url", f"http://127.0.0.1:{port}")
    assert gone.exit_code == 2
    assert "no answer from" in gone.stderr
    other = tmp_path / "other.json"
    other.write_text("[]", encoding="utf-8")
    assert replayed(other).exit_code == 2


def test_a_cut_stream_has_its_complete_events() -> None:
    begun = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    line = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\u2028b"}}'
    cut = summarize(
        200, "text/event-stream", begun + f"event: content_block_delta\ndata: {line}\n\nevent: cont\ndata: {{".encode()
    )
    assert (cut.shape, cut.lengths) == (("text",), (3,))


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"type": "message"}', b'{"type": "error", "error": 3}'])
def test_an_answer_of_another_api_has_only_a_status(content: bytes) -> None:
    assert summarize(502, "application/json", content) == ResponseSummary(502)
