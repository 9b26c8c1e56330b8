"""`dragoman serve` with several models: names, the banner, workers, and models that take turns in memory."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from conftest import body
from controllable_engine import until
from server.http import get, post
from vision_model import vision_model

from .process import Process, environment, script, serving
from .test_workers import replace_first

READ_WHILE_LOADING = """
import asyncio, os, signal
from pathlib import Path
from dragoman.cli import main
from dragoman.server.models.residents import Residents
bring_in = Residents._bring_in
async def interrupted(self, stay):
    Residents._bring_in = bring_in
    path = Path({path!r})
    path.write_text(path.read_text().replace("large", "larger"))
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(20)
Residents._bring_in = interrupted
main()
"""


STOPPED_WHILE_LOADING = """
import asyncio
from dragoman.cli import main
from dragoman.server.models.residents import Residents
bring_in = Residents._bring_in
async def stopped(self, stay):
    Residents._bring_in = bring_in
    stay.begun, stay.task = True, asyncio.current_task()
    stopping = asyncio.create_task(self.stop(stay.entry, 1))
    await asyncio.sleep(20)
Residents._bring_in = stopped
main()
"""


def ask(url: str, model: str) -> dict[str, Any]:
    """The answer of a model to a short prompt."""
    body = json.dumps(
        {"model": model, "max_tokens": 4, "temperature": 0, "messages": [{"role": "user", "content": "Hello!"}]}
    ).encode()
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/messages", body, headers), timeout=60) as answer:
        return json.load(answer)


def text(url: str, model: str) -> str:
    return ask(url, model)["content"][0]["text"]


def file(folder: Path) -> Path:
    """A file of two models, which say their names."""
    for name in ("big", "small"):
        (folder / name).mkdir()
        script(folder / name, json.dumps({"output": f"I am {name}."}))
    tables = """
        [big]
        engine = "scripted"
        script = "big/script.jsonl"
        aliases = ["large"]
        [small]
        engine = "scripted"
        script = "small/script.jsonl"
        tier = "haiku"
        display_name = "A small one"
    """
    path = folder / "models.toml"
    path.write_text(tables)
    return path


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_models_of_a_file_are_served_under_their_names(tmp_path: Path, workers: str) -> None:
    with serving("--models", str(file(tmp_path)), "--workers", workers) as server:
        assert server.model == "big"
        assert "\nIt also has small (for names with haiku): loaded when a request names it\n" in server.banner
        for name in ("big", "large", "claude-big", "claude-opus-4-5"):
            assert text(server.url, name) == "I am big."
        for name in ("small", "claude-small", "claude-haiku-4-5"):
            assert text(server.url, name) == "I am small."
        listed = {model["id"]: model["display_name"] for model in get(server.url, "/v1/models").json["data"]}
        assert listed["claude-small"] == listed["small"] == "A small one"


def test_sighup_while_the_default_model_is_loading_loads_the_one_of_now(tmp_path: Path) -> None:
    path = file(tmp_path)
    program = [sys.executable, "-c", READ_WHILE_LOADING.format(path=str(path))]
    with serving("--models", str(path), program=program) as server:
        assert text(server.url, "larger") == "I am big."
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0


def test_a_default_model_that_is_stopped_while_it_loads_is_loaded_by_the_next_request(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", STOPPED_WHILE_LOADING, "serve", "--models", str(file(tmp_path)), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as server:
        try:
            assert server.stderr is not None
            logged = next(line for line in server.stderr if "stopped" in line)
            assert "the model was stopped while it was loading; the next request loads it" in logged
            assert text(f"http://127.0.0.1:{port}", "big") == "I am big."
            server.terminate()
            assert server.wait(30) == 0
        finally:
            server.kill()


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_sighup_serves_what_the_file_has_now_and_a_broken_file_changes_nothing(tmp_path: Path, workers: str) -> None:
    path = file(tmp_path)
    tables = path.read_text()

    def names(server: Process) -> set[str]:
        return {model["id"] for model in get(server.url, "/api/models").json["models"]}

    with serving("--models", str(path), "--workers", workers, "--log-level", "info") as server:
        assert text(server.url, "small") == "I am small."
        path.write_text(tables.replace("[small]", "[tiny]").replace("large", "larger"))
        server.signal(signal.SIGHUP)
        until(lambda: all(names(server) == {"big", "tiny"} for _ in range(8)), pause=0.1)
        assert text(server.url, "tiny") == text(server.url, "claude-haiku-4-5") == "I am small."
        assert text(server.url, "larger") == "I am big."
        assert post(server.url, body(model="small")).status == HTTPStatus.NOT_FOUND
        assert post(server.url, body(model="large")).status == HTTPStatus.NOT_FOUND
        path.write_text("[big")
        server.signal(signal.SIGHUP)
        assert text(server.url, "tiny") == "I am small."
        if workers == "2":
            replace_first(server)
            assert all(names(server) == {"big", "tiny"} for _ in range(8))
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0
        log = server.log()
    assert "SIGHUP: the models read again" in log
    assert f"SIGHUP: the models unchanged: --models: {path} is not TOML" in log


@pytest.mark.slow
def test_a_small_model_is_served_beside_the_default_one() -> None:
    with serving("default", "--small", str(vision_model()), "--parallel", "1") as server:
        assert server.model == "SmolLM2-135M-Instruct"
        assert text(server.url, "claude-haiku-4-5") == text(server.url, "tiny") != text(server.url, "claude-opus-4-5")


@pytest.mark.slow
def test_models_that_do_not_fit_together_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(f'[one]\nsource = "{vision_model()}"\n[two]\nsource = "{vision_model().with_name("beginning.gguf")}"')
    with serving("--models", str(path), "--memory", "200MB", "--keep-alive", "5m") as server:
        first = {name: text(server.url, name) for name in ("one", "two")}
        assert {name: text(server.url, name) for name in ("one", "two")} == first
