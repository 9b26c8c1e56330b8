"""Every clause of the contract has a test, and every cited clause exists."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import NAMED_CLAUSES

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs" / "contract.md"
_LINE = re.compile(
    r'- <a id="(?P<id>[A-Z]+-\d+)"></a>\*\*(?P=id)\*\* \((?P<weight>core|full|edge)\): (?P<text>.+?\.)'
    r"(?: \*Not built: (?P<deferred>.+)\.\*)?"
)
_CITED = re.compile(
    r"\b(?:TRN|AUTH|ERR|REQ|IN|RES|USE|STOP|SSE|THK|TOOL|STR|SEQ|PRE|CACHE|CNT|MOD|BAT|FIL|THR|BETA|CC|OAI|RSP)-\d+\b"
)


class Clause(NamedTuple):
    """One clause; `deferred` is why it is not implemented, or empty."""

    text: str
    deferred: str


def read_contract() -> dict[str, Clause]:
    """Return the clauses by id, in the order of the page; every list item of the page is one."""
    lines = [line for line in CONTRACT.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    found = [_LINE.fullmatch(line) for line in lines]
    assert None not in found, [line for line, match in zip(lines, found, strict=True) if match is None]
    return {match["id"]: Clause(match["text"], match["deferred"] or "") for match in found if match}


CLAUSES = read_contract()


@pytest.fixture
def named(pytestconfig: pytest.Config) -> dict[str, list[str]]:
    """The tests that name each clause, slow ones included; skips unless the whole suite was collected."""
    if pytestconfig.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        pytest.skip("part of the suite says nothing about the whole")
    return pytestconfig.stash[NAMED_CLAUSES]


def test_the_clauses_of_a_chapter_are_numbered_in_order() -> None:
    chapters: dict[str, list[int]] = {}
    for identifier in CLAUSES:
        chapter, _, number = identifier.partition("-")
        chapters.setdefault(chapter, []).append(int(number))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in chapters.values())


@pytest.mark.parametrize("folder", ["src", "tests", "docs", "bench"])
def test_every_cited_clause_is_on_the_page(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".toml")]
    cited = {clause for path in files for clause in _CITED.findall(path.read_text(encoding="utf-8"))}
    assert cited - set(CLAUSES) == set()


def test_tests_name_clauses_that_exist(named: Mapping[str, list[str]]) -> None:
    assert {clause: tests for clause, tests in named.items() if clause not in CLAUSES} == {}


def test_every_clause_in_scope_has_a_test(named: Mapping[str, list[str]]) -> None:
    assert {name: clause.text for name, clause in CLAUSES.items() if not clause.deferred and name not in named} == {}


def test_no_clause_with_a_test_is_listed_as_deferred(named: Mapping[str, list[str]]) -> None:
    assert {name: named[name] for name, clause in CLAUSES.items() if clause.deferred and name in named} == {}
