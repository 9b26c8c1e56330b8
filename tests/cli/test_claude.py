"""Tests `dragoman claude`: environment, warnings and refusals. tests/clients runs the real client."""

import json
import os
import shlex
import signal
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import MODEL, Serve
from dragoman.cli import main
from dragoman.cli.launch import servers
from dragoman.cli.launch.environment import Prepared, prepare
from dragoman.cli.launch.program import User
from dragoman.cli.launch.programs.claude import CLAUDE
from dragoman.cli.launch.target import Target
from dragoman.cli.launch.warnings import replaced
from server.http import get
from vision_model import vision_model

from .process import DRAGOMAN

TARGET = Target("http://127.0.0.1:8000", "qwen", 131_072)

REPORTER = """#!/bin/sh
echo "$ANTHROPIC_MODEL at $ANTHROPIC_BASE_URL with $ANTHROPIC_AUTH_TOKEN${ANTHROPIC_API_KEY-, no other key}: $*"
exit 7
"""
"""A fake `claude` program that prints its settings and arguments."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a project without settings, on a machine without a running server."""
    for variable in [*CLAUDE.names, "CLAUDE_CONFIG_DIR", "HTTP_PROXY", "http_proxy"]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(servers, "DEFAULT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    return tmp_path


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the fake client on the path."""
    program = tmp_path / "claude"
    program.write_text(REPORTER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def prepared(target: Target, given: Mapping[str, str]) -> Prepared:
    return prepare(CLAUDE, target, given)


def variables(target: Target, given: Mapping[str, str]) -> Mapping[str, str]:
    return prepared(target, given).variables


def environment(target: Target, given: Mapping[str, str]) -> Mapping[str, str]:
    return prepared(target, given).environment(given)


def overriding(home: Path, project: Path, ours: Mapping[str, str]) -> Iterable[str]:
    return CLAUDE.overriding(User({"HOME": str(home)}, project), ours, CLAUDE.names)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["claude", *arguments])


def test_variables_for_a_large_window() -> None:
    assert variables(replace(TARGET, key="secret"), {}) == {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:8000",
        "ANTHROPIC_AUTH_TOKEN": "secret",
        "ANTHROPIC_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "qwen",
        "ANTHROPIC_DEFAULT_FABLE_MODEL": "qwen",
        "CLAUDE_CODE_SUBAGENT_MODEL": "qwen",
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "131072",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "16384",
        "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS": "25000",
        "BASH_MAX_OUTPUT_LENGTH": "30000",
        "API_TIMEOUT_MS": "1800000",
        "CLAUDE_STREAM_IDLE_TIMEOUT_MS": "1800000",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


def test_variables_for_a_small_window() -> None:
    found = variables(replace(TARGET, window=32_768), {})
    assert found["CLAUDE_CODE_DISABLE_UNKNOWN_MODEL_WINDOW_ENFORCEMENT"] == "1"
    assert found["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "4096"
    assert found["CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS"] == "8192"
    assert found["BASH_MAX_OUTPUT_LENGTH"] == "16384"


def test_an_unknown_window_is_not_set() -> None:
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS" not in variables(replace(TARGET, window=None), {})


def test_variables_for_other_servers_are_removed() -> None:
    given = {"PATH": "/bin", "ANTHROPIC_API_KEY": "sk-real", "CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_MODEL": "theirs"}
    assert environment(TARGET, given) == {"PATH": "/bin", **variables(TARGET, given)}


def test_no_proxy_is_used_for_this_machine() -> None:
    proxied = {"https_proxy": "http://proxy:3128", "NO_PROXY": "intranet"}
    assert environment(TARGET, proxied)["NO_PROXY"] == "intranet,127.0.0.1"
    assert "NO_PROXY" not in variables(replace(TARGET, url="http://gpu:8000"), proxied)


def test_replaced_variables_of_the_shell_are_reported() -> None:
    given = {"ANTHROPIC_API_KEY": "sk-real", "ANTHROPIC_MODEL": "theirs", "DISABLE_TELEMETRY": "1", "API_TIMEOUT_MS": ""}
    key, model = replaced(CLAUDE, given, variables(TARGET, given))
    assert key.startswith("ANTHROPIC_API_KEY is removed (")
    assert model == "ANTHROPIC_MODEL has another value in this run"


@pytest.mark.parametrize(
    "file", [".claude/settings.json", "project/.claude/settings.json", "project/.claude/settings.local.json"]
)
def test_settings_that_take_precedence_are_reported(home: Path, file: str) -> None:
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "ANTHROPIC_BASE_URL": "https://elsewhere",
        "ANTHROPIC_API_KEY": "sk-real",
        "DISABLE_TELEMETRY": 1,
        "EDITOR": "vi",
    }
    path.write_text(json.dumps({"env": settings, "apiKeyHelper": "get-key", "model": "opus"}))
    url, key, helper = overriding(home, home / "project", variables(TARGET, {}))
    assert url.startswith(f"{path} sets ANTHROPIC_BASE_URL in its env")
    assert key.startswith(f"{path} sets ANTHROPIC_API_KEY in its env")
    assert helper.startswith(f"{path} has an apiKeyHelper")


@pytest.mark.parametrize("text", ["", "[]", '{"env": []}', "not JSON"])
def test_empty_and_invalid_settings_are_ignored(home: Path, text: str) -> None:
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text(text)
    assert list(overriding(home, home, {})) == []


def test_the_client_gets_its_arguments_and_its_exit_status_is_returned(
    client: None, serve: Serve, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-real")
    url = serve(api_key="secret")
    done = invoke("--url", f"{url}/", "--api-key", "secret", "--", "-p", "Hello there", "--", "more")
    assert done.exit_code == 7
    assert capfd.readouterr().out == f"{MODEL} at {url} with secret, no other key: -p Hello there -- more\n"
    assert "ANTHROPIC_API_KEY is removed" in done.stderr


def test_a_server_at_the_default_url_is_used(
    client: None, serve: Serve, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "DEFAULT_URL", serve())
    assert invoke().exit_code == 7
    assert capfd.readouterr().out == f"{MODEL} at {servers.DEFAULT_URL} with none, no other key: \n"


def test_a_server_at_the_default_url_with_another_key_is_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "DEFAULT_URL", serve(api_key="secret"))
    assert "is not used: it requires a key" in invoke("--print-env").stderr
    assert invoke("--print-env", "--api-key", "secret").exit_code == 0


def test_the_variables_are_printed_for_a_shell(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-real")
    url = serve(id="a model's name")
    done = invoke("--url", url, "--print-env")
    assert done.exit_code == 0
    shell = subprocess.run(["sh", "-c", f"{done.stdout}\nenv"], capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in shell.stdout.splitlines() if "=" in line)
    expected = variables(Target(url, "a model's name", 200_000), {})
    assert {name: found.get(name) for name in expected} == expected
    assert "ANTHROPIC_API_KEY" not in found
    assert all(shlex.split(line)[0] in ("export", "unset") for line in done.stdout.splitlines())


@pytest.mark.parametrize(("window", "word"), [(8_192, "too small"), (32_768, "is small")])
def test_a_small_window_is_reported(serve: Serve, window: int, word: str) -> None:
    done = invoke("--url", serve(window=window), "--print-env")
    assert f"a window of {window:,} tokens" in done.stderr
    assert word in done.stderr


def test_small_requests_go_to_the_small_model(serve: Serve) -> None:
    url = serve(aliases=("little",))
    found = invoke("--url", url, "--small", "little", "--print-env").stdout.splitlines()
    assert "export ANTHROPIC_DEFAULT_HAIKU_MODEL=little" in found
    assert f"export ANTHROPIC_DEFAULT_SONNET_MODEL={MODEL}" in found
    assert f"export ANTHROPIC_MODEL={MODEL}" in found
    refused = invoke("--url", url, "--small", "tiny", "--print-env")
    assert refused.stderr.startswith(f"Error: {url} has no model tiny; it has {MODEL}")


def test_a_server_is_started_with_the_options_for_it(
    client: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given: list[str] = []

    @contextmanager
    def started(arguments: Sequence[str]) -> Iterator[Target]:
        given.extend(arguments)
        yield TARGET

    monkeypatch.setattr(servers, "started", started)
    small = str(vision_model())
    options = ["--llama-server", "none", "--gpu-layers", "3", "--web-search", "duckduckgo", "--web-fetch"]
    options += ["--mcp-host", "mcp.example.com", "--mcp-host", "localhost:9000"]
    done = invoke("default", "--small", small, "--context-length", "4096", *options)
    assert done.exit_code == 7
    assert given == ["default", "--context-length", "4096", "--parallel", "1", "--small", small, *options]
    assert "A window of 4,096 tokens for one conversation" in done.stderr
    assert "Claude Code works with qwen and tiny at" in done.stderr
    assert "it is a number of layers" in invoke("--gpu-layers", "some").stderr


def test_a_window_can_be_made_smaller_but_not_larger(serve: Serve) -> None:
    url = serve(window=100_000)
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS=64000\n" in invoke("--url", url, "--context-length", "64000", "--print-env").stdout
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS=100000\n" in invoke("--url", url, "--context-length", "900000", "--print-env").stdout


def test_a_refusal_is_one_line(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = serve(api_key="secret")
    attempts = {
        ("--print-env",): "no usable server runs at",
        ("--url", servers.DEFAULT_URL, "--print-env"): "no answer (",
        ("--url", url, "--print-env"): "requires a key: --api-key KEY",
        ("--url", url, "--api-key", "wrong", "--print-env"): "requires another key",
        ("--url", url, "--api-key", "secret", "--print-env", "gpt-9"): "has no model gpt-9; it has scripted",
        ("missing.gguf",): "missing.gguf: no such file",
    }
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Claude Code is not installed" in invoke().stderr
    (tmp_path / "claude").write_text(REPORTER)
    (tmp_path / "claude").chmod(0o755)
    for arguments, words in attempts.items():
        done = invoke(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert words in line


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_client_and_the_server(home: Path, number: int) -> None:
    (home / "claude").write_text("#!/bin/sh\nexec sleep 60\n")
    (home / "claude").chmod(0o755)
    given = {**environment(TARGET, os.environ), "PATH": f"{home}:{os.environ['PATH']}"}
    with subprocess.Popen([*DRAGOMAN, "claude"], env=given, stderr=subprocess.PIPE, text=True) as launcher:
        assert launcher.stderr is not None
        url = next(line.split()[-1] for line in launcher.stderr if line.startswith("Claude Code works with"))
        assert get(url, "/health").json["status"] == "ok"
        launcher.send_signal(number)
        assert launcher.wait(30) == 128 + number
    with pytest.raises(ConnectionRefusedError):
        get(url, "/health")


@pytest.mark.slow
def test_a_server_that_does_not_start_is_reported(client: None, tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(32))
    done = invoke("empty.gguf")
    assert done.exit_code == 2
    assert "the server did not start:\n" in done.stderr
    assert "cannot load" in done.stderr
