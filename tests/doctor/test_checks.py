"""Tests that every check passes on the reference server and fails on a server with its defect."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping

import pytest

from conftest import live_registry, registry_of
from dragoman.doctor import CHECKS, Check, Client, Outcome, run_checks
from dragoman.server import create_app

from .defects import DEFECTS, Defect
from .reference_server import ReferenceEngine
from .relay import Relay

BY_ID = {check.id: check for check in CHECKS}
STEP = 1 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 6
TOO_FAST = {"early-start", "silence", "small-beside-long", "sse-bit-by-bit"}
"""Checks that skip with a scripted model, which is too fast; test_latency.py tests them, and `leaving`."""


class RelayedServer:
    """A live server with a relay in front of it that can add a defect."""

    def __init__(self, url: str, relay: Relay) -> None:
        self.url, self._relay = url, relay

    def run_checks(self, checks: Iterable[Check], defect: Defect | None = None) -> Mapping[str, tuple[Outcome, str]]:
        """The outcomes and reasons by check id."""
        self._relay.reset()
        if defect is not None:
            self._relay.on_request = defect.on_request or self._relay.on_request
            self._relay.on_response = defect.on_response or self._relay.on_response
        return asyncio.run(self._run(checks))

    async def _run(self, checks: Iterable[Check]) -> Mapping[str, tuple[Outcome, str]]:
        async with Client.connect(self.url) as client:
            return {result.check.id: (result.outcome, result.reason) async for result in run_checks(client, checks)}


@pytest.fixture(scope="module")
def server() -> Iterator[RelayedServer]:
    registry = registry_of(ReferenceEngine())
    relay = Relay(create_app(registry))
    with live_registry(registry, relay) as url:
        yield RelayedServer(url, relay)


def reasons(results: Mapping[str, tuple[Outcome, str]], outcome: Outcome) -> dict[str, str]:
    return {name: reason for name, (found, reason) in results.items() if found is outcome}


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
