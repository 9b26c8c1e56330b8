"""`dragoman claude` with the real client: what it tells is understood."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import MODEL
from dragoman.engines.scripted import Line

from .cell import cell
from .claude_code import installed
from .scene import Play, Scene, call

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
"""Short enough to be brought whole into each of the windows here."""
SUMMARY = Line("<summary>We counted.</summary>", when="an <analysis> block followed by a <summary> block.")
TIERS = ["opus", "sonnet", "haiku", "fable"]


def launch(scene: Scene, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`dragoman claude ARGUMENTS` at the scene's server, by a user with nothing but a home and a path."""
    return run(
        [*scene.claude.entrance, *dragoman("--url", scene.claude.url, *arguments)],
        scene.claude.home,
        scene.project,
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
def test_every_name_of_a_model_is_ours_and_one_key_is_sent(play: Play) -> None:
    jobs = [{"model": tier} for tier in TIERS] + [{}, {"subagent_type": "Explore"}]
    calls = [
        ("Agent", {"description": "Find", "prompt": f"Find {number}.", "run_in_background": False, **job})
        for number, job in enumerate(jobs)
    ]
    scene = play(
        call(*calls), Line("All have found it.", when="has found it"), *["It has found it."] * len(jobs), api_key="secret"
    )
    done = launch(
        scene,
        *("--api-key", "secret", "--", *WORKING, "--allowedTools", "Agent", "--", "Find them."),
        ANTHROPIC_API_KEY="sk-real",
        ANTHROPIC_MODEL="opus",
        HTTP_PROXY="http://127.0.0.1:9",
    )
    assert events(done)[-1]["result"] == "All have found it."
    assert done.returncode == 0
    assert len(scene.heard.messages) == len(jobs) + 2
    assert {exchange.body["model"] for exchange in scene.heard.messages} == {MODEL}
    heads = [exchange.headers for exchange in scene.heard.messages]
    assert {(head.get("authorization"), head.get("x-api-key")) for head in heads} == {("Bearer secret", None)}
    assert {head["x-stainless-timeout"] for head in heads} == {"1800"}
    texts = [block["text"] for exchange in scene.heard.messages for block in exchange.body["system"]]
    assert not [text for text in texts if "billing-header" in text]


@pytest.mark.clause("CC-8")
def test_it_compacts_before_the_window_is_full(play: Play) -> None:
    scene = play(SUMMARY, *[COUNT] * 11, "We have counted enough.", window=50_000)
    done = launch(scene, "--", *WORKING, "--", "Count.")
    told = events(done)
    assert told[-1]["result"] == "We have counted enough."
    assert {exchange.status for exchange in scene.heard.messages} == {200}
    assert "compact_boundary" in [event.get("subtype") for event in told]
    assert told[-1]["modelUsage"][MODEL]["contextWindow"] == 50_000
    assert {exchange.body["max_tokens"] for exchange in scene.heard.messages} == {6_250}


@pytest.mark.clause("CC-8", "ERR-11")
def test_in_a_small_window_it_works_until_the_server_refuses_and_goes_on(play: Play) -> None:
    scene = play(SUMMARY, *[COUNT] * 9, "We have counted enough.", window=24_000)
    done = launch(scene, "--", *WORKING, "--", "Count.")
    assert events(done)[-1]["result"] == "We have counted enough."
    assert [exchange.status for exchange in scene.heard.messages].count(400) == 1
    assert "is small" in done.stderr


def test_large_results_are_kept_out_of_a_small_window(play: Play) -> None:
    scene = play(
        call(("Bash", {"command": "seq 4000", "description": "Count"}), ("Read", {"file_path": "long.txt"})),
        "Done.",
        window=24_000,
    )
    (scene.project / "long.txt").write_text("".join(f"This is line {number}.\n" for number in range(1900)))
    done = launch(scene, "--", *WORKING, "--", "Count, read.")
    assert events(done)[-1]["result"] == "Done."
    printed, read = sorted((str(result["content"]) for result in scene.said("tool_result")), key=len)
    assert "Output too large" in printed
    assert "line 899." in read
    assert "line 1899." not in read


def test_what_is_printed_does_the_same(play: Play) -> None:
    scene = play("Here I am.")
    printed = launch(scene, "--print-env")
    assert printed.returncode == 0
    lines = f"{printed.stdout}\nexec {installed()} -p 'Hello.'"
    done = run([*scene.claude.entrance, "sh", "-c", lines], scene.claude.home, scene.project)
    assert done.stdout == "Here I am.\n"
    assert scene.heard.messages[0].headers["x-stainless-timeout"] == "1800"


def test_the_failure_of_the_client_is_ours(play: Play) -> None:
    scene = play("Never said.", window=3000)
    assert launch(scene, "--", *WORKING, "--", "Hello.").returncode == 1


def test_a_server_of_its_own_comes_and_goes(tmp_path: Path) -> None:
    """The default model is far too small for this client: that it says so, with the true window, shows the way to it."""
    with cell() as ours:
        done = run([*ours.entrance, *dragoman("--", *WORKING, "--", "Hello.")], tmp_path, tmp_path)
        [url] = re.findall(r"^Claude Code works with \S+ at (http://\S+)$", done.stderr, re.MULTILINE)
        probe = [*ours.entrance, sys.executable, "-c", f"import urllib.request as r; r.urlopen('{url}/health')"]
        assert "Connection refused" in subprocess.run(probe, capture_output=True, text=True, check=False).stderr
    assert "a window of 8,192 tokens is too small" in done.stderr
    assert events(done)[-1]["api_error_status"] == 400
    assert done.returncode == 1
    (log,) = [Path(line.split()[-1]) for line in done.stderr.splitlines() if line.startswith("Starting a server")]
    assert "prompt is too long" in log.read_text()
    log.unlink()
