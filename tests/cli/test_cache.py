"""Tests `dragoman cache`, and the options of `serve` that concern saved conversations."""

import json
import signal
import urllib.request
from array import array
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dragoman.cli import main
from dragoman.cli.sizes import Size
from dragoman.engines.llama.cache_folder import CacheFolder, CacheKey
from vision_model import vision_model

from .process import serving

TOKENS = array("i", range(700))


def cache(*arguments: object, **variables: str) -> str:
    result = CliRunner(env=variables).invoke(main, ["cache", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache folder with two conversations of a model."""
    root = tmp_path / "cache"
    opened = CacheFolder(root, 1 << 30, CacheKey("tiny", (), "engine 1", 4096))
    opened.open()
    for name in ("one", "two"):
        (opened.path / f"{name}.new").write_bytes(b"qsgg" + array("i", [4, 700]).tobytes() + TOKENS.tobytes() + bytes(10**6))
        assert opened.finish(name, array("I", TOKENS), 700)
    (opened.path / "three.new").touch()
    return root


def test_it_shows_what_is_saved_of_each_model(folder: Path) -> None:
    first, last = cache("--cache-dir", folder).splitlines()
    assert first.startswith("tiny: 2 conversations, 2.0 MB, last used 2")
    assert first.endswith("(context 4,096, engine 1)")
    assert last == f"2 conversations, 2.0 MB in {folder}"


def test_clear_removes_what_was_saved_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "a.state").touch()
    (folder / "notes.txt").touch()
    assert cache("clear", "--cache-dir", folder) == f"removed 2 conversations, 2.0 MB from {folder}\n"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == {"mine", "mine/a.state", "notes.txt"}
    assert cache("--cache-dir", folder) == f"0 conversations, 0 B in {folder}\n"
    assert cache("clear", "--cache-dir", tmp_path / "none") == f"removed 0 conversations, 0 B from {tmp_path / 'none'}\n"


def test_the_folder_of_serve_is_used_if_the_environment_names_it(folder: Path) -> None:
    assert "tiny" in cache(DRAGOMAN_SERVE_CACHE_DIR=str(folder))
    assert cache(DRAGOMAN_CACHE=str(folder)) == f"0 conversations, 0 B in {folder / 'conversations'}\n"


@pytest.mark.parametrize(
    ("written", "size"), [("0", 0), ("1500", 1500), ("500MB", 500_000_000), ("1.5g", 1_500_000_000), ("2 TB", 2 * 10**12)]
)
def test_sizes_are_numbers_of_bytes_with_a_unit(written: str, size: int) -> None:
    assert Size().convert(written, None, None) == size


@pytest.mark.parametrize("written", ["", "many", "-1", "1e9", "10 PB", "B", "10GB more"])
def test_other_sizes_are_refused(written: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size such as"):
        Size().convert(written, None, None)


def test_a_wrong_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(main, ["serve", "--engine", "llama-server", "--cache-dir", "x"])
    assert done.stderr == "Error: --cache-dir is for the embedded engine.\n"
    done = CliRunner().invoke(main, ["serve", "--cache-dir", str(tmp_path / "file" / "below"), "--cache-limit", "1GB"])
    assert (done.exit_code, done.stderr.splitlines()) == (
        2,
        [f"Error: cannot save conversations to {tmp_path / 'file' / 'below'}: Not a directory"],
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_conversation_of_4000_tokens_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    options = [str(vision_model()), "--cache-dir", str(tmp_path / "cache"), "--cache-limit", "1GB", "--parallel", "1"]
    turns = [{"role": "user", "content": "the old stone mill by the river " * (4000 // 7)}]
    with serving(*options) as server:
        first = ask(server.url, turns)
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
    assert f"{server.model}: 1 conversation, " in cache("--cache-dir", tmp_path / "cache")
    turns += [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": "Go on."}]
    with serving(*options) as server:
        usage = ask(server.url, turns)["usage"]
    assert first["usage"]["input_tokens"] > 4000
    assert usage["cache_read_input_tokens"] >= 0.95 * first["usage"]["input_tokens"]


def ask(url: str, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to these turns."""
    body = json.dumps({"model": "claude-test", "max_tokens": 8, "temperature": 0, "messages": turns}).encode()
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/messages", body, headers), timeout=240) as answer:
        return json.load(answer)
