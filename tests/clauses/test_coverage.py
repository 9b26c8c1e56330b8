"""The contract and the tests that prove it, held against each other."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import NAMED_CLAUSES

MANIFEST = Path(__file__).with_name("manifest.toml")


class Clause(NamedTuple):
    """One entry of the manifest."""

    weight: str
    about: str
    deferred: str = ""


def read_manifest() -> dict[str, Clause]:
    chapters = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    return {f"{chapter}-{number}": Clause(*entry) for chapter, clauses in chapters.items() for number, entry in clauses.items()}


CLAUSES = read_manifest()


@pytest.fixture
def named(pytestconfig: pytest.Config) -> Mapping[str, list[str]]:
    """The tests that name each clause, the slow ones too; known only where the whole suite was collected."""
    if pytestconfig.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        pytest.skip("part of the suite says nothing about the whole")
    return pytestconfig.stash[NAMED_CLAUSES]


def test_the_manifest_is_in_order() -> None:
    assert all(clause.weight in ("CORE", "FULL", "EDGE") for clause in CLAUSES.values())
    chapters: dict[str, list[int]] = {}
    for identifier in CLAUSES:
        chapter, _, number = identifier.partition("-")
        chapters.setdefault(chapter, []).append(int(number))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in chapters.values())


def test_tests_name_clauses_that_exist(named: Mapping[str, list[str]]) -> None:
    assert {clause: tests for clause, tests in named.items() if clause not in CLAUSES} == {}


def test_every_clause_in_scope_has_a_test(named: Mapping[str, list[str]]) -> None:
    assert {name: clause.about for name, clause in CLAUSES.items() if not clause.deferred and name not in named} == {}


def test_no_clause_with_a_test_is_listed_as_deferred(named: Mapping[str, list[str]]) -> None:
    assert {name: named[name] for name, clause in CLAUSES.items() if clause.deferred and name in named} == {}
