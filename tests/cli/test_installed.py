"""The wheel, installed as a user installs it: in an environment of its own, and run outside the repository."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from clients.claude_code import installed as claude_code
from clients.network_sandbox import network_sandbox
from conftest import body
from dragoman.models.resolve import resolve
from server.http import post

from .process import environment, script, serving

REPOSITORY = Path(__file__).parents[2]
MODEL = resolve(None).path
CHECKS = ("request-id", "models-list", "claude-names", "error-shape", "unknown-model", "count")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program `dragoman` of a built wheel, installed by `uv tool install` with the pinned versions."""
    folder = tmp_path_factory.mktemp("installed")
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv is not None
    pins = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["constraint-dependencies"]
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins), encoding="utf-8")
    where = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(REPOSITORY)], cwd=folder, check=True)
    (wheel,) = folder.glob("*.whl")
    install = [uv, "tool", "install", "--quiet", "--python", sys.executable, "--constraints", str(constraints), str(wheel)]
    subprocess.run(install, cwd=folder, env={**environment(), **where}, check=True)
    return folder / "bin" / "dragoman"


@pytest.fixture(autouse=True)
def _outside_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("VIRTUAL_ENV", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_it_serves_a_model_file_and_passes_checks_of_the_doctor(installed: Path) -> None:
    with serving(str(MODEL), "--context-length", "2048", program=[str(installed)]) as server:
        answer = post(server.url, body(model="claude-local", max_tokens=8))
        assert answer.json["usage"]["output_tokens"] > 0
        assert post(server.url, body(model="claude-local", max_tokens=8, stream=True)).events[-1]["type"] == "message_stop"
        only = [argument for name in CHECKS for argument in ("--only", name)]
        command = [str(installed), "doctor", server.url, "--json", *only]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        report = json.loads(done.stdout)
        assert (done.returncode, report["count"]["pass"]) == (0, len(CHECKS)), report


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first run installs Claude Code
def test_it_launches_claude_code(installed: Path, tmp_path: Path) -> None:
    lines = script(tmp_path, '{"output": "Hello from the wheel."}')
    with network_sandbox() as sandbox:
        inside = [*sandbox.command_prefix, str(installed)]
        with serving("--engine", "scripted", "--script", lines, program=inside) as server:
            done = subprocess.run(
                [*inside, "claude", "--url", server.url, "--", "-p", "Hello."],
                env={
                    "PATH": f"{claude_code().parent}{os.pathsep}{os.environ['PATH']}",
                    "HOME": str(tmp_path),
                    "LANG": "C.UTF-8",
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
    assert (done.returncode, done.stdout.strip()) == (0, "Hello from the wheel."), done.stderr


@pytest.mark.slow
def test_without_a_model_it_names_those_that_fit_and_downloads_nothing(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(installed), "serve"], capture_output=True, text=True, timeout=60, env=environment(), check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 3)
    assert "dragoman serve" in done.stderr
    assert list(tmp_path.iterdir()) == []
