"""The real vLLM, on a CPU, with the default model: once as somebody else runs it, once as we start it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from anthropic import Anthropic

from clients.conftest import sdk
from conftest import live_gateway
from dragoman import dialects
from dragoman.cli.weights import resolve
from dragoman.engines.vllm import Vllm
from dragoman.engines.vllm_child import StartedVllm
from dragoman.server import Gateway, Settings
from stage import until

from .installed import model_folder, vllm

ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
SIZE = ["--enforce-eager", "--max-model-len", "2048"]
SLOTS = 4
STARTS_WITHIN = 400
"""Seconds: one, where it has two cores for itself, with what it reads in the system's cache."""


@pytest.fixture(scope="session")
def folder() -> Path:
    return model_folder(resolve(None).path)


@pytest.fixture(scope="package")
def running(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a vLLM that somebody else runs, as it comes but for its size."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log"
    command = [str(vllm() / "vllm"), "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), *SIZE]
    command += ["--served-model-name", "smol", "--enable-prompt-tokens-details", "--max-num-seqs", str(SLOTS)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=file, stderr=file)
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            return bool(urlopen(f"{url}/health", timeout=5).status == 200)
        except (URLError, TimeoutError, OSError):
            return False

    try:
        until(up, STARTS_WITHIN)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="package")
def gateway(running: str) -> Gateway:
    """Dragoman over that vLLM, as if its model wrote Qwen 3's dialect."""
    return Gateway(Vllm(running, Path, slots=SLOTS), Settings(dialect=dialects.get("qwen3")))


@pytest.fixture(scope="package")
def model(gateway: Gateway) -> Iterator[Anthropic]:
    with connected(gateway) as client:
        yield client


@contextmanager
def connected(gateway: Gateway) -> Iterator[Anthropic]:
    """The SDK over a gateway."""
    with live_gateway(gateway, loads_within=STARTS_WITHIN) as url, sdk(url) as client:
        yield client


def started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StartedVllm:
    """A vLLM that we start ourselves."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return StartedVllm(str(folder), Path, slots=SLOTS, args=SIZE, program=str(vllm() / "vllm"))
