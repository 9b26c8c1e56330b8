"""`dragoman replay`: what was captured, sent again."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import MODEL, Serve, body, live_server, user
from dragoman.cli import main
from dragoman.cli.outline import Outline, outline
from dragoman.engines.scripted import Line
from dragoman.server import Settings
from server.http import get, post, wire
from stage import FIRST_TOKEN, Stage, until

TOOL = {"name": "now", "input_schema": {"type": "object"}}
SCRIPT = [
    Line('<think>Hm.</think>Sure. <tool_call>{"name": "now", "arguments": {"zone": "UTC"}}</tool_call>', when="time"),
    Line("one two three", when="late", finish_reason="error"),
    Line("Hello there."),
]


def replayed(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def captured(folder: Path, number: int) -> list[Path]:
    until(lambda: len(list(folder.glob("*.json"))) == number)
    return sorted(folder.iterdir())


def converse(url: str, **headers: str) -> int:
    """Ask for all there is to ask; the number of requests."""
    thinking = {"type": "adaptive"}
    post(url, body(user("What time is it?"), tools=[TOOL], thinking=thinking, stream=True), **headers)
    post(url, body(user("What time is it?"), tools=[TOOL], thinking=thinking), **headers)
    post(url, body(user("Come late"), stream=True), **headers)
    post(url, body(user("Hi")), "/v1/messages/count_tokens", **headers)
    post(url, b"{", **headers)
    post(url, body(model="nobody"), **headers)
    get(url, "/v1/models?limit=1", **headers)
    return 7


def test_the_same_server_answers_the_same(serve: Serve, tmp_path: Path) -> None:
    url = serve(*SCRIPT, capture=tmp_path)
    number = converse(url)
    files = captured(tmp_path, number)
    found = replayed(*files, "--url", url)
    lines = found.output.splitlines()
    assert found.exit_code == 0, found.output
    assert [line.split()[:2] for line in lines] == [["same", path.name] for path in files]
    assert lines[0].endswith("200  tool_use  thinking 3, text 5, tool_use(now) 15"), lines[0]
    assert lines[2].endswith("200  text 13, error(api_error) 42")
    assert "input_tokens" in lines[3]


def test_a_key_is_given_anew(serve: Serve, tmp_path: Path) -> None:
    url = serve(*SCRIPT, capture=tmp_path / "captured", api_key="sesame")
    captured(tmp_path / "captured", converse(url, x_api_key="sesame"))
    plain = serve(*SCRIPT, api_key="sesame")
    assert replayed(tmp_path / "captured", "--url", plain).exit_code == 1
    assert replayed(tmp_path / "captured", "--url", plain, "--key", "sesame").exit_code == 0


def test_another_text_is_told_and_is_no_failure(serve: Serve, tmp_path: Path) -> None:
    post(serve("Hello there.", capture=tmp_path), body())
    captured(tmp_path, 1)
    found = replayed(tmp_path, "--url", serve(Line("Hello to you all.", finish_reason="length")))
    assert found.exit_code == 0
    assert [line.strip() for line in found.output.splitlines()[1:]] == [
        "stop_reason: end_turn became max_tokens",
        "text: 12 characters became 17",
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_other_blocks_are_a_failure(serve: Serve, tmp_path: Path, stream: bool) -> None:
    post(serve(SCRIPT[0], capture=tmp_path), body(user("What time is it?"), tools=[TOOL], stream=stream))
    captured(tmp_path, 1)
    found = replayed(tmp_path, "--url", serve("Hello there."))
    assert found.exit_code == 1
    assert found.output.startswith("DIFFERS  ")
    assert "blocks: thinking, text, tool_use(now) became text" in found.output


def test_another_status_is_a_failure(serve: Serve, tmp_path: Path) -> None:
    post(serve(capture=tmp_path), body(user("word " * 100)))
    captured(tmp_path, 1)
    found = replayed(tmp_path, "--url", serve(window=50))
    assert found.exit_code == 1
    assert "status: 200 became 400" in found.output


def test_of_an_answer_that_was_not_waited_for_the_beginning_must_agree(serve: Serve, tmp_path: Path) -> None:
    engine = Stage()
    with live_server(engine, Settings(model_id=MODEL, capture=tmp_path)) as url:
        engine.says("one two three four", chunk=4)
        engine.hold(before=FIRST_TOKEN + 1)
        with wire(url) as client:
            client.send(body(stream=True))
            client.read_until(b'"text":"one')
        captured(tmp_path, 1)
        engine.release()
    assert replayed(tmp_path, "--url", serve("one two three four")).exit_code == 0
    found = replayed(tmp_path, "--url", serve("<think>one</think>two"))
    assert found.exit_code == 1
    assert "the client had left" in found.output


def test_what_was_not_read_is_not_sent(serve: Serve, tmp_path: Path) -> None:
    url = serve(capture=tmp_path, api_key="sesame")
    post(url, body())
    captured(tmp_path, 1)
    found = replayed(tmp_path, "--url", url)
    assert (found.exit_code, found.output.split()[0]) == (0, "skipped")


def test_a_file_that_is_none_and_a_server_that_is_gone_are_refused(serve: Serve, tmp_path: Path) -> None:
    post(serve(capture=tmp_path), body())
    (path,) = captured(tmp_path, 1)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    gone = replayed(path, "--url", f"http://127.0.0.1:{port}")
    assert gone.exit_code == 2
    assert "no answer from" in gone.stderr
    path.write_text("[]", encoding="utf-8")
    assert replayed(path).exit_code == 2


def test_a_stream_that_was_cut_shows_the_events_that_are_whole() -> None:
    begun = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    line = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\u2028b"}}'
    cut = outline(
        200, "text/event-stream", begun + f"event: content_block_delta\ndata: {line}\n\nevent: cont\ndata: {{".encode()
    )
    assert (cut.shape, cut.lengths) == (("text",), (3,))


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"type": "message"}', b'{"type": "error", "error": 3}'])
def test_an_answer_of_another_api_has_a_status_and_nothing_else(content: bytes) -> None:
    assert outline(502, "application/json", content) == Outline(502)
