"""Tests `dragoman claude` with the real client."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conftest import MODEL
from dragoman.engines.scripted import Line

from .claude_code import installed
from .network_sandbox import network_sandbox
from .session import Session, StartSession, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs it

WORKING = [
    "-p",
    "--output-format",
    "stream-json",
    "--verbose",
    "--permission-mode",
    "acceptEdits",
    "--allowedTools",
    "Bash,Read",
]
COUNT = call(("Bash", {"command": "seq 2400", "description": "Count"}))
"""A result that is short enough to fit whole into each of the windows here."""
SUMMARY = Line("<summary>We counted.</summary>", when="an <analysis> block followed by a <summary> block.")
TIERS = ["opus", "sonnet", "haiku", "fable"]


def launch(session: Session, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `dragoman claude ARGUMENTS` with the session's server, in an environment with only a home and a path."""
    return run(
        [*session.claude.command_prefix, *dragoman("--url", session.claude.url, *arguments)],
        session.claude.home,
        session.project,
        **variables,
    )


def dragoman(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dragoman", "claude", *arguments]


def run(command: list[str], home: Path, project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{installed().parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **variables}
    return subprocess.run(
        command,
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.clause("CC-4", "CC-6")
def test_every_model_name_is_one_of_the_servers_and_one_key_is_sent(start_session: StartSession) -> None:
    tasks = [{"model": tier} for tier in TIERS] + [{}, {"subagent_type": "Explore"}]
    calls = [
        ("Agent", {"description": "Find", "prompt": f"Find {number}.", "run_in_background": False, **task})
        for number, task in enumerate(tasks)
    ]
    session = start_session(
        call(*calls),
        Line("All have found it.", when="has found it"),
        *["It has found it."] * len(tasks),
        api_key="secret",
        aliases=("little",),
    )
    done = launch(
        session,
        *("--api-key", "secret", "--small", "little", "--", *WORKING, "--allowedTools", "Agent", "--", "Find them."),
        ANTHROPIC_API_KEY="sk-real",
        ANTHROPIC_MODEL="opus",
        HTTP_PROXY="http://127.0.0.1:9",
    )
    assert events(done)[-1]["result"] == "All have found it."
    assert done.returncode == 0
    assert len(session.recorder.messages) == len(tasks) + 2
    assert Counter(exchange.body["model"] for exchange in session.recorder.messages) == {MODEL: len(tasks) + 1, "little": 1}
    headers = [exchange.headers for exchange in session.recorder.messages]
    assert {(sent.get("authorization"), sent.get("x-api-key")) for sent in headers} == {("Bearer secret", None)}
    assert {sent["x-stainless-timeout"] for sent in headers} == {"1800"}
    texts = [block["text"] for exchange in session.recorder.messages for block in exchange.body["system"]]
    assert not [text for text in texts if "billing-header" in text]


@pytest.mark.clause("CC-8")
def test_it_compacts_before_the_window_is_full(start_session: StartSession) -> None:
    session = start_session(SUMMARY, *[COUNT] * 11, "We have counted enough.", window=50_000)
    done = launch(session, "--", *WORKING, "--", "Count.")
    transcript = events(done)
    assert transcript[-1]["result"] == "We have counted enough."
    assert {exchange.status for exchange in session.recorder.messages} == {200}
    assert "compact_boundary" in [event.get("subtype") for event in transcript]
    assert transcript[-1]["modelUsage"][MODEL]["contextWindow"] == 50_000
    assert {exchange.body["max_tokens"] for exchange in session.recorder.messages} == {6_250}


@pytest.mark.clause("CC-8", "ERR-11")
def test_in_a_small_window_it_compacts_when_the_server_refuses_a_prompt(start_session: StartSession) -> None:
    session = start_session(SUMMARY, *[COUNT] * 9, "We have counted enough.", window=24_000)
    done = launch(session, "--", *WORKING, "--", "Count.")
    assert events(done)[-1]["result"] == "We have counted enough."
    assert [exchange.status for exchange in session.recorder.messages].count(400) == 1
    assert "is small" in done.stderr


def test_large_results_are_shortened_for_a_small_window(start_session: StartSession) -> None:
    session = start_session(
        call(("Bash", {"command": "seq 4000", "description": "Count"}), ("Read", {"file_path": "long.txt"})),
        "Done.",
        window=24_000,
    )
    (session.project / "long.txt").write_text("".join(f"This is line {number}.\n" for number in range(1900)))
    done = launch(session, "--", *WORKING, "--", "Count, read.")
    assert events(done)[-1]["result"] == "Done."
    printed, read = sorted((str(result["content"]) for result in session.blocks("tool_result")), key=len)
    assert "Output too large" in printed
    assert "line 899." in read
    assert "line 1899." not in read


def test_the_printed_variables_have_the_same_effect(start_session: StartSession) -> None:
    session = start_session("Here I am.")
    printed = launch(session, "--print-env")
    assert printed.returncode == 0
    lines = f"{printed.stdout}\nexec {installed()} -p 'Hello.'"
    done = run([*session.claude.command_prefix, "sh", "-c", lines], session.claude.home, session.project)
    assert done.stdout == "Here I am.\n"
    assert session.recorder.messages[0].headers["x-stainless-timeout"] == "1800"


def test_the_exit_status_is_the_clients(start_session: StartSession) -> None:
    session = start_session("Never said.", window=3000)
    assert launch(session, "--", *WORKING, "--", "Hello.").returncode == 1


def test_a_server_is_started_and_terminated(tmp_path: Path) -> None:
    """The default model is far too small for this client, whose error with the true window shows that it reached the server."""
    with network_sandbox() as sandbox:
        done = run([*sandbox.command_prefix, *dragoman("--", *WORKING, "--", "Hello.")], tmp_path, tmp_path)
        [url] = re.findall(r"^Claude Code works with \S+ at (http://\S+)$", done.stderr, re.MULTILINE)
        probe = [*sandbox.command_prefix, sys.executable, "-c", f"import urllib.request as r; r.urlopen('{url}/health')"]
        assert "Connection refused" in subprocess.run(probe, capture_output=True, text=True, check=False).stderr
    assert "a window of 8,192 tokens is too small" in done.stderr
    assert events(done)[-1]["api_error_status"] == 400
    assert done.returncode == 1
    (log,) = [Path(line.split()[-1]) for line in done.stderr.splitlines() if line.startswith("Starting a server")]
    assert "prompt is too long" in log.read_text()
    log.unlink()
