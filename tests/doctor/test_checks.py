"""Tests that every check passes on the reference server and fails on a server with its defect."""

import os
from collections.abc import Iterator

import pytest

from conftest import live_registry, registry_of
from dragoman.doctor import CHECKS, Outcome
from dragoman.server import create_app

from .defects import DEFECTS, Defect
from .reference_server import TOOLS, ReferenceEngine
from .relay import Relay
from .relayed_server import RelayedServer, reasons

BY_ID = {check.id: check for check in CHECKS}
STEP = 1 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 6
TOO_FAST = {"early-start", "silence", "small-beside-long", "sse-bit-by-bit"}
"""Checks that skip with a scripted model, which is too fast; test_latency.py tests them, and `leaving`."""


@pytest.fixture(scope="module")
def server() -> Iterator[RelayedServer]:
    registry = registry_of(ReferenceEngine(), server_tools=TOOLS)
    relay = Relay(create_app(registry))
    with live_registry(registry, relay) as url:
        yield RelayedServer(url, relay)


def test_the_reference_server_passes(server: RelayedServer) -> None:
    results = server.run_checks(CHECKS)
    assert reasons(results, Outcome.FAIL) == reasons(results, Outcome.DEFECT) == {}
    assert set(reasons(results, Outcome.SKIP)) - {"leaving"} == TOO_FAST | {"wrong-key"}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_noticed(server: RelayedServer, defect: Defect) -> None:
    results = server.run_checks([BY_ID[name] for name in sorted(defect.noticed_by)], defect)
    assert set(reasons(results, Outcome.FAIL)) == defect.noticed_by, results
    assert all("\n" not in reason and reason for reason in reasons(results, Outcome.FAIL).values())


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS[::STEP], ids=lambda defect: defect.name)
def test_a_defect_is_noticed_by_no_other_check(server: RelayedServer, defect: Defect) -> None:
    results = server.run_checks(CHECKS, defect)
    assert set(reasons(results, Outcome.FAIL)) == defect.noticed_by, reasons(results, Outcome.FAIL)
    assert reasons(results, Outcome.DEFECT) == {}


def test_every_check_can_fail() -> None:
    tried = {name for defect in DEFECTS for name in defect.noticed_by}
    assert set(BY_ID) - tried == {"leaving", *TOO_FAST} - {"sse-bit-by-bit"}
    assert len(BY_ID) == len(CHECKS)
