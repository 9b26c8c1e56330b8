"""`dragoman doctor`, as its users see it."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from conftest import live_server
from doctor.patient import Patient
from dragoman.cli import main
from dragoman.doctor import CHECKS
from dragoman.server import Settings


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(Patient(), Settings(api_key="sesame")) as url:
        yield url


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_it_prints_each_check_with_its_reason_and_a_sum(url: str) -> None:
    told = doctor(url, "--key", "sesame", "--only", "models", "--only", "sse-bit-by-bit")
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert "models" in lines
    assert any(line.startswith("pass models-window") for line in lines)
    assert "too fast to judge" in told.output
    assert "8 passed, 1 skipped: scripted at" in " ".join(told.output.split())


def test_a_failed_check_says_why_it_matters_and_sets_the_exit_status(url: str) -> None:
    told = doctor(url, "--only", "max-tokens")  # without the key
    assert told.exit_code == 1
    said = " ".join(told.output.split())
    assert "FAIL max-tokens" in said
    assert "answered 401 instead of 200: x-api-key header is required" in said
    assert "why it matters: clients continue by themselves when they read it" in said


def test_scripts_get_one_json_object(url: str) -> None:
    told = doctor(url, "--key", "sesame", "--json", "--model", "claude-local")
    assert told.exit_code == 0, told.output
    report = json.loads(told.output)
    assert (report["url"], report["model"]) == (url, "claude-local")
    assert [check["id"] for check in report["checks"]] == [check.id for check in CHECKS]
    assert report["count"]["fail"] == report["count"]["defect"] == 0
    wrong_key = next(check for check in report["checks"] if check["id"] == "wrong-key")
    assert (wrong_key["outcome"], wrong_key["clauses"]) == ("pass", ["AUTH-3"])


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    told = doctor("http://127.0.0.1:1")
    assert told.exit_code == 2
    (line,) = told.output.splitlines()
    assert line.startswith("Error: no answer from http://127.0.0.1:1: ")


@pytest.mark.parametrize("address", ["nonsense", "http://", "http://bad host:1", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_one_sentence(address: str) -> None:
    told = doctor(address)
    assert told.exit_code == 2
    assert told.output.startswith("Error: ")
    assert "Traceback" not in told.output


def test_a_check_that_nobody_knows_is_refused_with_the_subjects() -> None:
    told = doctor("--only", "everything")
    assert told.exit_code == 2
    assert "unknown check: everything; subjects are 'transport', 'models'" in told.output
