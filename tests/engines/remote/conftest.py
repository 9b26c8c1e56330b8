"""Fixtures that run each test with every engine and its fake upstream."""

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from dragoman.engines import Capabilities, Engine
from engines.folders import model_folder
from engines.real_servers.upstream import STARTS_WITHIN
from engines.remote.engine_cases import ENGINE_CASES, REAL_CASES, EngineCase


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model that all engines serve."""
    return model_folder(tmp_path_factory.mktemp("model"))


_REAL = [pytest.param(case, marks=[pytest.mark.slow, pytest.mark.timeout(2 * STARTS_WITHIN)]) for case in REAL_CASES]


@pytest.fixture(scope="module", params=[*ENGINE_CASES, *_REAL], ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> EngineCase:
    """The engine of this test."""
    case: EngineCase = request.param
    return case


@pytest.fixture(scope="session")
def real_servers(folder: Path) -> Iterator[Callable[[EngineCase], Any]]:
    """Gives the real server of a case, which takes some seconds to start and is started once."""
    started: dict[Any, Any] = {}

    def server(case: EngineCase) -> Any:
        if case.upstream not in started:
            started[case.upstream] = case.upstream(folder)
        started[case.upstream].start_upstream()
        return started[case.upstream]

    yield server
    for upstream in started.values():
        upstream.close()


@pytest.fixture(scope="module")
def running(case: EngineCase, folder: Path, real_servers: Callable[[EngineCase], Any]) -> Iterator[Any]:
    """The engine's upstream, started."""
    if case in REAL_CASES:
        yield real_servers(case)
        return
    upstream = case.upstream(folder)
    upstream.start_upstream()
    yield upstream
    upstream.stop_upstream()


class Connected(NamedTuple):
    """A started engine, its capabilities and its upstream."""

    case: EngineCase
    engine: Engine
    found: Capabilities
    upstream: Any


@pytest_asyncio.fixture
async def connected(case: EngineCase, running: Any, folder: Path) -> AsyncGenerator[Connected]:
    upstream = case.upstream(folder) if case.name == "scripted" else running
    engine = case.connect(upstream)
    found = await engine.start()
    upstream.reset()
    yield Connected(case, engine, found, upstream)
    await engine.close()
    upstream.reset()
