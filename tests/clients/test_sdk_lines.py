"""Runs one script with several release lines of the SDK."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from conftest import Serve
from dragoman.engines.scripted import Line

from .installed import python_packages

SCRIPT = Path(__file__).with_name("script.py")
THOUGHT = "<think>\nIt may rain.\n</think>\n\n"


def installed(line: str) -> Path:
    """The cached folder with that release line."""
    return python_packages(f"sdk/{line}", [f"anthropic=={line}.*"])


def run_script(url: str, line: str, folder: Path | None) -> None:
    path = {"PYTHONPATH": str(folder)} if folder else {}
    command = [sys.executable, "-W", "error", str(SCRIPT), url, line]
    done = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def scripted(serve: Serve) -> str:
    return serve(
        Line("It rains in Ulm.", when="rain, 12 degrees"),
        Line(
            'Let me look.\n<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>', when="Weather in"
        ),
        Line(f"{THOUGHT}Hello there."),
        api_key="secret",
        aliases=("small", "org/model"),
    )


@pytest.mark.slow
def test_the_newest_line_runs_the_script(scripted: str) -> None:
    run_script(scripted, version("anthropic"), None)


@pytest.mark.slow
@pytest.mark.clause("AUTH-1", "TRN-2", "TRN-8", "RES-8", "MOD-4", "ERR-3")
@pytest.mark.parametrize("line", ["0.76", "1.17"])
def test_an_old_line_runs_the_script(scripted: str, line: str) -> None:
    run_script(scripted, line, installed(line))
