"""`dragoman serve` in front of an engine elsewhere."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.process import serving
from conftest import body
from dragoman.cli import main
from engines_remote.rows import ROWS, Row
from engines_remote.upstream import Upstream
from server.http import get, post

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name in ("sglang", "lmdeploy")], ids=lambda row: row.name, indirect=True
)
def test_an_engine_elsewhere_is_served(row: Row, running: Upstream, folder: Path):
    """The one finds the tokenizer where the engine says, the other where the user does."""
    running.says(b"Hel", b"lo.")
    named = ["--tokenizer", str(folder)] if row.name == "lmdeploy" else []
    with serving("--engine", row.name, "--engine-url", running.url, "--engine-key", "secret", *named) as server:
        assert post(server.url, body(model=server.model)).json["content"][0]["text"] == "Hello."
        assert get(server.url, "/health").json["engine"]["tokenizer"] == str(folder)
        assert set(running.keys) == {"Bearer secret"}
    running.reset()


@pytest.mark.parametrize("kind", ["vllm", "sglang", "lmdeploy", "llama-server"])
def test_an_engine_elsewhere_has_an_address(kind: str):
    done = CliRunner().invoke(main, ["serve", "--engine", kind])
    assert (done.exit_code, "--engine-url" in done.stderr) == (2, True)
