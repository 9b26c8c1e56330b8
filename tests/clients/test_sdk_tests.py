"""Runs the generated tests of the official SDKs against a live server, and compares them with the bars in `bars.toml`.

A bar has the fewest tests that must pass, and the tests that need not, with the reason. A test that fails and is not listed is
a failure, and so is an entry whose tests all pass.
"""

import fnmatch
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from conftest import Serve

from .installed import python_packages
from .sdk_tests.sources import source

FOLDER = Path(__file__).parent / "sdk_tests"
BARS: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "bars.toml").read_text(encoding="utf-8"))
RESPX = "respx==0.23.1"
PLUGINS = {"anthropic": "tests._alias_httpx", "openai": "tests.respx2.plugin"}


def outcomes(url: str, bar: dict[str, Any], report: Path) -> dict[str, str]:
    """Why each test failed, or an empty text."""
    sdk, folder = bar["sdk"], source(bar["sdk"])
    paths = [str(folder), str(FOLDER), str(python_packages("sdk-sources/respx", [RESPX]))]
    environment = {
        "DRAGOMAN_SDK": sdk,
        "DRAGOMAN_SERVER": url,
        "DRAGOMAN_REPORT": str(report),
        "TEST_API_BASE_URL": f"{url}/v1" if sdk == "openai" else url,
        "PYTHONPATH": os.pathsep.join(paths),
    }
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=session", "-p", PLUGINS[sdk], "-p", "live"]
    quiet = [
        "-q",
        "-n",
        "0",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
    ]
    command = [sys.executable, "-m", "pytest", *quiet, *options, *(f"tests/api_resources/{path}" for path in bar["paths"])]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=380, check=False
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-2000:]
    return dict(json.loads(report.read_text(encoding="utf-8")))


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.clause("RES-8", "OAI-9", "RSP-1")
@pytest.mark.parametrize("name", BARS)
def test_the_generated_tests_of_the_sdk_pass(serve: Serve, tmp_path: Path, name: str) -> None:
    bar = BARS[name]
    found = outcomes(serve("Hello there.", any_model=True), bar, tmp_path / "report.json")
    listed = {
        pattern: [test for test in found if fnmatch.fnmatchcase(test.removeprefix("tests/api_resources/"), pattern)]
        for entry in bar["skips"]
        for pattern in entry["tests"]
    }
    skipped = {test for tests in listed.values() for test in tests}
    assert {test: reason for test, reason in found.items() if reason and test not in skipped} == {}
    assert [pattern for pattern, tests in listed.items() if not any(found[test] for test in tests)] == [], "these pass now"
    assert sum(not reason for reason in found.values()) >= bar["passes"]
