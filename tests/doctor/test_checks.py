"""Every check passes on a server that is well, and every check can fail."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping

import pytest

from conftest import live_registry
from dragoman.doctor import CHECKS, Check, Client, Outcome, run_checks
from dragoman.server import ModelRegistry, Settings, create_app

from .defects import DEFECTS, Defect
from .patient import Patient
from .relay import Relay

BY_ID = {check.id: check for check in CHECKS}
STEP = 1 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 6
TOO_FAST = {"early-start", "silence", "small-beside-long", "sse-bit-by-bit"}
"""Where a scripted model leaves nothing to judge; test_patience has them, and the one about leaving."""


class Ward:
    """A live server, and a relay in front of it that can be spoiled."""

    def __init__(self, url: str, relay: Relay) -> None:
        self.url, self._relay = url, relay

    def run_checks(self, checks: Iterable[Check], defect: Defect | None = None) -> Mapping[str, tuple[Outcome, str]]:
        """The results, by the ids of the checks."""
        self._relay.well()
        if defect is not None:
            self._relay.before = defect.before or self._relay.before
            self._relay.after = defect.after or self._relay.after
        return asyncio.run(self._examine(checks))

    async def _examine(self, checks: Iterable[Check]) -> Mapping[str, tuple[Outcome, str]]:
        async with Client.connect(self.url) as client:
            return {result.check.id: (result.outcome, result.reason) async for result in run_checks(client, checks)}


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    gateway = ModelRegistry(Patient(), Settings())
    relay = Relay(create_app(gateway))
    with live_registry(gateway, relay) as url:
        yield Ward(url, relay)


def of(results: Mapping[str, tuple[Outcome, str]], outcome: Outcome) -> dict[str, str]:
    return {name: reason for name, (found, reason) in results.items() if found is outcome}


def test_a_server_that_is_well_passes(ward: Ward) -> None:
    results = ward.run_checks(CHECKS)
    assert of(results, Outcome.FAIL) == of(results, Outcome.DEFECT) == {}
    assert set(of(results, Outcome.SKIP)) - {"leaving"} == TOO_FAST | {"wrong-key"}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_noticed(ward: Ward, defect: Defect) -> None:
    results = ward.run_checks([BY_ID[name] for name in sorted(defect.notices)], defect)
    assert set(of(results, Outcome.FAIL)) == defect.notices, results
    assert all("\n" not in reason and reason for reason in of(results, Outcome.FAIL).values())


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS[::STEP], ids=lambda defect: defect.name)
def test_a_defect_is_noticed_by_no_other_check(ward: Ward, defect: Defect) -> None:
    results = ward.run_checks(CHECKS, defect)
    assert set(of(results, Outcome.FAIL)) == defect.notices, of(results, Outcome.FAIL)
    assert of(results, Outcome.DEFECT) == {}


def test_every_check_can_fail() -> None:
    tried = {name for defect in DEFECTS for name in defect.notices}
    assert set(BY_ID) - tried == {"leaving", *TOO_FAST} - {"sse-bit-by-bit"}
    assert len(BY_ID) == len(CHECKS)
