"""Tests `dragoman serve`: its output, its refusals and its shutdown."""

import importlib.util
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from conftest import body
from controllable_engine import until
from dragoman.cli import main
from server.http import get, post, wire

from .process import script, serving

HELLO = '{"output": "Hello there."}'
SHORT_DRAIN = (
    "import dragoman.cli.run as run; run.DRAIN_SECONDS = 0.3; from dragoman.cli import main; main(prog_name='dragoman')"
)


def refused(*arguments: str) -> str:
    """The error line of a server that does not start, with exit code 2."""
    done = CliRunner().invoke(main, ["serve", *arguments])
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.fixture
def hello(tmp_path: Path) -> list[str]:
    return ["--engine", "scripted", "--script", script(tmp_path, HELLO)]


@pytest.mark.slow
def test_it_prints_its_url_its_model_and_three_lines_to_paste(hello: list[str]) -> None:
    with serving(*hello) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert get(server.url, "/v1/models").json["first_id"] == server.model
        curl, python, claude = (line.strip() for line in server.banner.splitlines() if line.startswith("  "))
        for command in (f"{curl} --silent", python.replace("python", sys.executable, 1)):
            if shutil.which(shlex.split(command)[0]) is None:
                continue
            done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60, check=True)
            assert "Hello there." in done.stdout
        settings = dict(word.split("=", 1) for word in shlex.split(claude)[:-1])
        assert settings.pop("ANTHROPIC_AUTH_TOKEN")
        assert settings == {
            "ANTHROPIC_BASE_URL": server.url,
            "ANTHROPIC_MODEL": server.model,
            "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "200000",
        }


def test_the_lines_to_paste_have_a_variable_instead_of_the_key(hello: list[str]) -> None:
    with serving(*hello, "--api-key", "secret", "--alias", "small", "my-model") as server:
        assert server.model == "my-model"
        assert "secret" not in server.banner
        assert server.banner.count("DRAGOMAN_KEY") == 4
        assert post(server.url, body(model="small")).status == HTTPStatus.UNAUTHORIZED
        assert post(server.url, body(model="small"), x_api_key="secret").json["model"] == "small"


def test_a_server_at_rest_sleeps_and_knows_the_time_afterwards(hello: list[str]) -> None:
    with serving(*hello) as server:
        process = psutil.Process(server.pid)
        before = process.num_ctx_switches().voluntary
        time.sleep(1.5)
        assert process.num_ctx_switches().voluntary - before < 10
        date = parsedate_to_datetime(get(server.url, "/health").headers["date"])
        assert abs(date - datetime.now(UTC)) < timedelta(seconds=1.2)


def test_options_can_come_from_the_environment(hello: list[str]) -> None:
    done = CliRunner(env={"DRAGOMAN_SERVE_HOST": "203.0.113.7"}).invoke(main, ["serve", *hello])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "203.0.113.7" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.gguf", None, "no such file"),
        ("text.gguf", b"not weights at all", "is not a GGUF file"),
        ("empty.gguf", b"", "is empty"),
        ("old.gguf", b"GGUF\x01\x00\x00\x00" + bytes(32), "version 1"),
    ],
)
def test_a_model_that_cannot_be_served_is_one_line_and_exit_code_2(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    line = refused(str(path))
    assert reason in line
    assert name in line


def test_a_bad_script_is_reported_with_its_line(tmp_path: Path) -> None:
    assert "--script" in refused("--engine", "scripted")
    assert "no such" in refused("--engine", "scripted", "--script", str(tmp_path / "none.jsonl")).lower()
    for lines, reason in (
        ([HELLO, "{"], "line 2"),
        ([HELLO, "", '{"output": "x", "chunks": 1}'], "line 3"),
        (['{"output": 5}'], "line 1"),
        ([""], "no lines"),
    ):
        assert reason in refused("--engine", "scripted", "--script", script(tmp_path, *lines))


def test_an_unknown_dialect_is_reported_with_the_known_ones(hello: list[str]) -> None:
    for option in ("--dialect", "--tool-call-parser", "--reasoning-parser"):
        line = refused(*hello, option, "klingon")
        assert "klingon" in line
        assert "qwen3" in line


def test_a_port_in_use_is_one_line(hello: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refused(*hello, "--port", str(port))


@pytest.mark.parametrize("host", ["0.0.0.0", "203.0.113.7", "::", "example.test"])
def test_an_address_beyond_this_machine_needs_a_key(hello: list[str], host: str) -> None:
    line = refused(*hello, "--host", host)
    assert "--api-key" in line
    assert "--no-auth" in line


def test_a_remote_engine_needs_an_engine_url() -> None:
    assert "--engine-url" in refused("--engine", "llama-server")
    assert "--engine-url" in refused("--engine", "vllm")


@pytest.mark.parametrize("limit", [("--capture-limit", "1GB"), ("--capture-age", "7d")])
def test_limits_of_captured_requests_need_their_folder(hello: list[str], limit: tuple[str, str]) -> None:
    assert "--capture DIR" in refused(*hello, *limit)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[::1", "nonsense", "127.0.0.1:8080", "ftp://host"]
)
@pytest.mark.parametrize("engine", ["llama-server", "vllm", "sglang", "lmdeploy"])
def test_an_address_that_is_not_a_url_is_one_line(engine: str, url: str) -> None:
    assert f"--engine-url {url}" in refused("--engine", engine, "--engine-url", url)


def test_an_engine_that_is_not_installed_is_not_started(tmp_path: Path) -> None:
    assert "vLLM is not installed here" in refused("--engine", "vllm", str(tmp_path))


def test_arguments_are_for_an_engine_that_is_started_here(hello: list[str]) -> None:
    assert "started here" in refused(*hello, "model", "--", "--tensor-parallel-size", "2")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--no-auth"], ["--api-key", "secret"]])
def test_other_machines_are_served_with_a_key_or_with_no_auth(hello: list[str], arguments: list[str]) -> None:
    with serving(*hello, "--host", "0.0.0.0", *arguments) as server:
        status = HTTPStatus.OK if arguments == ["--no-auth"] else HTTPStatus.UNAUTHORIZED
        assert post(server.url, body(model=server.model)).status == status


@pytest.mark.slow
def test_parsers_have_the_names_of_other_servers(tmp_path: Path) -> None:
    output = '<think>hm</think>So: <tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    lines = script(tmp_path, json.dumps({"output": output}))
    parsers = ["--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"]
    with serving("--engine", "scripted", "--script", lines, *parsers) as server:
        assert "dialect hermes+qwen3 (chosen)" in server.banner
        tool = {"name": "f", "input_schema": {"type": "object"}}
        message = post(server.url, body(model=server.model, tools=[tool])).json
        assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]


def test_json_logs_and_captured_requests(hello: list[str], tmp_path: Path) -> None:
    with serving(*hello, "--log-level", "info", "--log-format", "json", "--capture", str(tmp_path / "captured")) as server:
        request_id = post(server.url, body(model=server.model)).headers["request-id"]
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
    assert [line["ending"] for line in lines if line.get("request_id") == request_id] == ["end_turn"]
    assert [request_id in path.name for path in (tmp_path / "captured").iterdir()] == [True]


def test_traces_need_their_extra(hello: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opentelemetry", *(name for name in sys.modules if name.startswith("opentelemetry."))):
        monkeypatch.setitem(sys.modules, name, None)
    done = CliRunner().invoke(main, ["serve", *hello, "--traces"])
    assert (done.exit_code, done.stderr) == (2, "Error: --traces needs the extra otel: pip install 'dragoman[otel]'.\n")


@pytest.mark.slow
def test_responses_are_stored_in_the_data_folder(hello: list[str], tmp_path: Path) -> None:
    options = ["--data-dir", str(tmp_path / "data"), "--responses-limit", "1MB", "--responses-age", "1h"]
    with serving(*hello, *options) as server:
        answer = post(server.url, {"model": server.model, "input": "Hi"}, "/v1/responses").json
        assert get(server.url, f"/v1/responses/{answer['id']}").json == answer
    assert (tmp_path / "data" / "responses.db").is_file()


def test_an_unwritable_data_folder_is_one_line(hello: list[str], tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    folder = str(tmp_path / "a file" / "below")
    assert "cannot store responses" in refused(*hello, "--data-dir", folder, "--responses-limit", "1MB")


def test_an_unwritable_capture_folder_is_one_line(hello: list[str], tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    assert "cannot capture" in refused(*hello, "--capture", str(tmp_path / "a file" / "below"))


def test_sigterm_drains_a_stream_and_refuses_new_requests(tmp_path: Path) -> None:
    lines = script(tmp_path, json.dumps({"output": "word " * 100, "chunk": 5, "delay_ms": 10}))
    with serving("--engine", "scripted", "--script", lines) as server, wire(server.url) as stream:
        stream.send(body(model=server.model, stream=True))
        stream.read_until(b"text_delta")
        server.signal(signal.SIGTERM)
        until(lambda: _refuses(server.url, server.model))
        received = stream.read_all()
        assert b"event: message_stop" in received
        assert received.count(b"text_delta") >= 90
        assert server.exit_code() == 0


def _refuses(url: str, model: str) -> bool:
    """Whether a new request gets a 529, or no connection."""
    try:
        return post(url, body(model=model)).status == 529
    except OSError:
        return True


@pytest.mark.slow
@pytest.mark.clause("SSE-18")
def test_past_the_drain_limit_a_stream_ends_with_an_error_event(tmp_path: Path) -> None:
    lines = script(tmp_path, json.dumps({"output": "word " * 100_000, "chunk": 5, "delay_ms": 10}))
    program = [sys.executable, "-c", SHORT_DRAIN]
    with serving("--engine", "scripted", "--script", lines, program=program) as server, wire(server.url) as stream:
        stream.send(body(model=server.model, stream=True, max_tokens=100_000))
        stream.read_until(b"text_delta")
        server.signal(signal.SIGTERM)
        received = stream.read_all()
        assert b"event: error" in received
        assert b'"overloaded_error"' in received
        assert b"message_stop" not in received
        assert received.endswith(b"0\r\n\r\n")
        assert server.exit_code() == 0


@pytest.mark.slow
def test_sigint_exits_at_once_without_running_requests(hello: list[str]) -> None:
    with serving(*hello) as server:
        assert post(server.url, body(model=server.model)).status == HTTPStatus.OK
        server.signal(signal.SIGINT)
        assert server.exit_code() == 0


@pytest.mark.parametrize(
    ("option", "url", "missing", "reason"),
    [
        ("--database", "mysql://x", "", "--database is the URL of a Postgres database"),
        ("--files-store", "s3://", "", "--files-store is the URL of a bucket"),
        ("--database", "postgresql://x", "psycopg", "--database needs psycopg: install dragoman[postgres]."),
        ("--files-store", "s3://x", "obstore", "--files-store needs obstore: install dragoman[s3]."),
    ],
)
def test_a_place_that_cannot_be_used_is_reported(  # noqa: PLR0917 -- the cases
    hello: list[str], monkeypatch: pytest.MonkeyPatch, option: str, url: str, missing: str, reason: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert reason in refused(*hello, option, url)
