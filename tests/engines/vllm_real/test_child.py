"""vLLM as a child process: it is restarted when it dies, and ends with its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from conftest import registry_of
from controllable_engine import until
from dragoman import dialects
from dragoman.engines.vllm.child import StartedVllm

from .conftest import connected
from .external_server import SIZE, SLOTS, STARTS_WITHIN
from .installed import ENVIRONMENT, vllm
from .messages import STORY, SUM, WEATHER, assert_failed, create, start_streams, text_of

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(STARTS_WITHIN * 2)]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def below(pid: int) -> list[int]:
    """The descendants of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in children.read_text().split()] if children.exists() else []
    return [*found, *(one for child in found for one in below(child))]


def computes(pid: int) -> bool:
    """Whether this is vLLM's worker process, by its name."""
    name = Path(f"/proc/{pid}/cmdline")
    return name.exists() and name.read_bytes().startswith(b"VLLM::Worker")


@pytest.mark.clause("SSE-17", "STOP-7")
def test_a_child_enforces_calls_and_is_restarted_when_it_dies(folder: Path) -> None:
    engine = StartedVllm(str(folder), Path, slots=SLOTS, args=SIZE, program=str(vllm() / "vllm"))
    with connected(registry_of(engine, dialect=dialects.get("qwen3"))) as model:
        until(lambda: engine.pid is not None, STARTS_WITHIN)
        health = model.get("/health", cast_to=object)
        assert isinstance(health, dict)
        assert health["engine"]["constraints"] == "Lark"
        (call,) = create(model, STORY, 200, tools=[WEATHER], tool_choice={"type": "any"}).content
        assert call.type == "tool_use"
        assert jsonschema_rs.is_valid(WEATHER["input_schema"], call.input)

        streams = start_streams(model)
        assert engine.pid is not None
        os.killpg(engine.pid, signal.SIGKILL)
        assert_failed(streams)
        assert text_of(create(model.with_options(timeout=STARTS_WITHIN), SUM)) != ""  # it waited
        assert engine.restarts == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_child_ends_with_its_parent(folder: Path) -> None:
    command = [sys.executable, "-m", "dragoman", "serve", "--engine", "vllm", str(folder), "--port", "0", "--parallel", "1"]
    path = f"{vllm()}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen([*command, "--", *SIZE], env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL) as server:
        until(lambda: any(map(computes, below(server.pid))), STARTS_WITHIN, pause=0.1)
        family = below(server.pid)
        server.kill()
    assert len(family) > 2  # a launcher, a server, a worker
    until(lambda: not any(Path("/proc", str(pid)).exists() for pid in family))
