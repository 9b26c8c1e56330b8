"""Tests `dragoman launch` with the real programs: each answers, reads a file with a tool and changes it with another."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import MODEL, live_registry, registry_of
from dragoman.cli.launch.program import Api
from dragoman.cli.launch.programs import PROGRAMS
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server import create_app

from .launched import AFTER, ANSWER, BEFORE, LAUNCHED, PROMPT, Launched
from .network_sandbox import network_sandbox
from .recorder import Recorder

_TIMEOUT = 120


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first run installs it
@pytest.mark.parametrize("launched", LAUNCHED, ids=lambda launched: launched.name)
def test_a_launched_program_changes_a_file(launched: Launched, tmp_path: Path) -> None:
    home, project, scratch, scripts = (tmp_path / name for name in ("home", "project", "scratch", "scripts"))
    for folder in (home, project, scratch, scripts):
        folder.mkdir()
    note = project / "note.txt"
    note.write_text(f"{BEFORE}\n")
    read, edit = launched.calls(project)
    script = [Line(ANSWER, when=AFTER), Line(edit, when=BEFORE), Line(read, when=PROMPT), Line("A note.")]
    registry = registry_of(ScriptedEngine(script, model=MODEL), api_key="secret")
    recorder = Recorder(create_app(registry))
    with network_sandbox() as sandbox, live_registry(registry, recorder, sandbox.listener):
        done = subprocess.run(
            [
                *(*sandbox.command_prefix, sys.executable, "-m", "dragoman", "launch", launched.name),
                *("--url", sandbox.url, "--api-key", "secret", "--", *launched.command()),
            ],
            cwd=project,
            env={"PATH": launched.path(scripts), "HOME": str(home), "TMPDIR": str(scratch), "LANG": "C.UTF-8", "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    recorder.write(tmp_path / "requests.jsonl")
    seen = f"{done.stdout}\n{done.stderr}\n{recorder.exchanges}"
    assert note.read_text() == f"{AFTER}\n", seen
    assert ANSWER in done.stdout, seen
    assert done.returncode == 0, seen
    assert recorder.refused == []
    asked = [exchange for exchange in recorder.exchanges if exchange.path in {api.value for api in Api}]
    assert {exchange.path for exchange in asked} == {launched.program.api.value}
    assert {exchange.body["model"] for exchange in asked} == {MODEL, *launched.other_models}
    assert not list(scratch.glob("dragoman-*"))


def test_every_program_is_tried() -> None:
    assert {launched.name for launched in LAUNCHED} | {"claude"} == set(PROGRAMS)
