"""Tests the command `dragoman doctor`."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from conftest import live_server
from doctor.reference_server import ReferenceEngine
from dragoman.cli import main
from dragoman.doctor import CHECKS


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(ReferenceEngine(), api_key="sesame") as url:
        yield url


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_it_prints_each_check_with_its_reason_and_a_summary(url: str) -> None:
    result = doctor(url, "--key", "sesame", "--only", "models", "--only", "sse-bit-by-bit")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "models" in lines
    assert any(line.startswith("pass models-window") for line in lines)
    assert "too fast to judge" in result.output
    assert "8 passed, 1 skipped: scripted at" in " ".join(result.output.split())


def test_a_failed_check_shows_why_it_matters_and_sets_the_exit_status(url: str) -> None:
    result = doctor(url, "--only", "max-tokens")  # without the key
    assert result.exit_code == 1
    output = " ".join(result.output.split())
    assert "FAIL max-tokens" in output
    assert "answered 401 instead of 200: x-api-key header is required" in output
    assert "why it matters: clients continue on their own when they read it" in output


def test_json_is_one_object(url: str) -> None:
    result = doctor(url, "--key", "sesame", "--json", "--model", "claude-local")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert (report["url"], report["model"]) == (url, "claude-local")
    assert [check["id"] for check in report["checks"]] == [check.id for check in CHECKS]
    assert report["count"]["fail"] == report["count"]["defect"] == 0
    wrong_key = next(check for check in report["checks"] if check["id"] == "wrong-key")
    assert (wrong_key["outcome"], wrong_key["clauses"]) == ("pass", ["AUTH-3"])


def test_an_unreachable_server_is_one_line() -> None:
    result = doctor("http://127.0.0.1:1")
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith("Error: no answer from http://127.0.0.1:1: ")


@pytest.mark.parametrize("address", ["nonsense", "http://", "http://bad host:1", "http://127.0.0.1:99999"])
def test_an_invalid_url_is_one_line(address: str) -> None:
    result = doctor(address)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert "Traceback" not in result.output


def test_an_unknown_check_is_refused_with_the_subjects() -> None:
    result = doctor("--only", "everything")
    assert result.exit_code == 2
    assert "unknown check: everything; subjects are 'transport', 'models'" in result.output
