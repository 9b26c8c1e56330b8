"""`dragoman serve` with a remote engine."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.process import serving
from conftest import body
from dragoman.cli import main
from engines.remote.engine_cases import ENGINE_CASES, EngineCase
from engines.remote.fake_engine import Upstream
from server.http import get, post

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "case", [case for case in ENGINE_CASES if case.name in ("sglang", "lmdeploy")], ids=lambda case: case.name, indirect=True
)
def test_a_remote_engine_is_served(case: EngineCase, running: Upstream, folder: Path) -> None:
    """SGLang reports the tokenizer's path; for LMDeploy the user names it."""
    running.says(b"Hel", b"lo.")
    named = ["--tokenizer", str(folder)] if case.name == "lmdeploy" else []
    with serving("--engine", case.name, "--engine-url", running.url, "--engine-key", "secret", *named) as server:
        assert post(server.url, body(model=server.model)).json["content"][0]["text"] == "Hello."
        assert get(server.url, "/health").json["engine"]["tokenizer"] == str(folder)
        assert set(running.keys) == {"Bearer secret"}
    running.reset()


@pytest.mark.parametrize("kind", ["vllm", "sglang", "lmdeploy", "llama-server"])
def test_a_remote_engine_needs_an_address(kind: str) -> None:
    done = CliRunner().invoke(main, ["serve", "--engine", kind])
    assert (done.exit_code, "--engine-url" in done.stderr) == (2, True)
