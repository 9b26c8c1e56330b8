"""Tests that every check of the OpenAI formats passes on the reference server, and fails on a server with its defect."""

from collections.abc import Iterator

import pytest

from conftest import live_registry, registry_of
from dragoman.doctor import CHAT_API, CHECKS_OF, RESPONSES_API, Api, Outcome
from dragoman.server import create_app

from .openai_defects import OPENAI_DEFECTS, OpenAIDefect
from .reference_server import ReferenceEngine
from .relay import Relay
from .relayed_server import RelayedServer, reasons

APIS = (CHAT_API, RESPONSES_API)


@pytest.fixture(scope="module")
def server() -> Iterator[RelayedServer]:
    registry = registry_of(ReferenceEngine())
    relay = Relay(create_app(registry))
    with live_registry(registry, relay) as url:
        yield RelayedServer(url, relay)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.clause("OAI-7", "OAI-8", "OAI-9", "OAI-10", "OAI-11", "RSP-1", "RSP-11", "RSP-13")
def test_the_reference_server_passes(server: RelayedServer, api: Api) -> None:
    results = server.run_checks(CHECKS_OF[api], api=api)
    assert reasons(results, Outcome.FAIL) == reasons(results, Outcome.DEFECT) == {}
    assert set(reasons(results, Outcome.SKIP)) == {"sse-bit-by-bit", "wrong-key"}


@pytest.mark.parametrize("defect", OPENAI_DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_noticed(server: RelayedServer, defect: OpenAIDefect) -> None:
    checks = [check for check in CHECKS_OF[defect.api] if check.id in defect.noticed_by]
    results = server.run_checks(checks, defect, defect.api)
    assert set(reasons(results, Outcome.FAIL)) == defect.noticed_by, results
    assert all("\n" not in reason and reason for reason in reasons(results, Outcome.FAIL).values())


@pytest.mark.slow
@pytest.mark.parametrize("defect", OPENAI_DEFECTS[::9], ids=lambda defect: defect.name)
def test_a_defect_is_noticed_by_no_other_check(server: RelayedServer, defect: OpenAIDefect) -> None:
    results = server.run_checks(CHECKS_OF[defect.api], defect, defect.api)
    assert set(reasons(results, Outcome.FAIL)) == defect.noticed_by, reasons(results, Outcome.FAIL)
    assert reasons(results, Outcome.DEFECT) == {}


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_every_check_can_fail(api: Api) -> None:
    ids = [check.id for check in CHECKS_OF[api]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {name for defect in OPENAI_DEFECTS if defect.api is api for name in defect.noticed_by}
