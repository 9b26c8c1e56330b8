"""Tests `dragoman ps` and `dragoman stop` with a server of several models."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from conftest import live_registry
from controllable_engine import until
from dragoman.cli import main
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.errors import EngineFailed
from dragoman.server import ModelEntry, ModelRegistry, Settings
from server.http import post


def broken() -> ScriptedEngine:
    raise EngineFailed("the file is broken")


def entry(name: str) -> ModelEntry:
    return ModelEntry(name, lambda: ScriptedEngine([Line("Hello.")], model=name, window=9_000, slots=4))


ENTRIES = [
    replace(entry("org/big"), memory=5 * 10**9, keep_alive=300.0),
    replace(entry("small"), memory=10**9, preload=True, pinned=True),
    replace(entry("broken"), build=broken, memory=10**9),
]


@pytest.fixture
def url() -> Iterator[str]:
    """A server with three models, of which one does not load, and with a key."""
    registry = ModelRegistry(ENTRIES, Settings(api_key="secret"), memory=8 * 10**9)
    with live_registry(registry) as url:
        yield url


def dragoman(url: str, *arguments: str, key: str = "secret") -> Result:
    command, *rest = arguments
    return CliRunner().invoke(main, [command, "--url", f"{url}/", "--api-key", key, *rest])


def states(url: str) -> dict[str, str]:
    return {model["id"]: model["state"] for model in json.loads(dragoman(url, "ps", "--json").stdout)["models"]}


def test_the_models_are_shown_with_their_state(url: str) -> None:
    until(lambda: states(url)["small"] == "loaded")
    header, big, small, failed, memory = dragoman(url, "ps").stdout.splitlines()
    assert header.split() == [
        "NAME",
        "STATE",
        "BUSY",
        "WAITING",
        "WINDOW",
        "CACHED",
        "TOKENS/S",
        "MEMORY",
        "UNLOADED",
        "IN",
        "DEVICE",
    ]
    assert big.split() == ["org/big", "loaded", "0", "of", "4", "-", "9,000", "-", "-", "5.0", "GB", "5m", "scripted"]
    assert small.split() == ["small", "loaded", "0", "of", "4", "-", "9,000", "-", "-", "1.0", "GB", "pinned", "scripted"]
    assert failed.split() == ["broken", "unloaded", "-", "-", "-", "-", "-", "1.0", "GB", "-", "-"]
    assert memory == "6.0 GB of 8.0 GB of memory are taken"


def test_why_a_model_failed_is_shown(url: str) -> None:
    message = {"model": "broken", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello!"}]}
    assert post(url, message, x_api_key="secret").status == 500
    assert "broken: the file is broken" in dragoman(url, "ps").stdout.splitlines()


def test_a_model_is_unloaded_by_its_name(url: str) -> None:
    assert dragoman(url, "stop", "org/big").stdout == "org/big is unloaded\n"
    assert states(url)["org/big"] == "unloaded"


def test_a_mistake_is_one_line(url: str) -> None:
    attempts = {
        ("stop", "none", "secret"): f"Error: {url} answers with 404: model: none (this server has org/big, ",
        ("ps", "", ""): f"Error: {url} requires a key: --api-key KEY.\n",
        ("ps", "", "wrong"): f"Error: {url} requires another key: --api-key KEY.\n",
    }
    for (command, model, key), words in attempts.items():
        done = dragoman(url, command, *([model] if model else []), key=key)
        assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert done.stderr.startswith(words)
    assert dragoman("http://127.0.0.1:9", "ps").stderr.startswith("Error: no server answers at http://127.0.0.1:9 (")
