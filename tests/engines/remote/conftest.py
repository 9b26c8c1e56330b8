"""Fixtures that run each test with every engine and its fake upstream."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from dragoman.engines import Capabilities, Engine
from engines.folders import model_folder
from engines.remote.engine_cases import ENGINE_CASES, EngineCase


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model that all engines serve."""
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=ENGINE_CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> EngineCase:
    """The engine of this test."""
    case: EngineCase = request.param
    return case


@pytest.fixture(scope="module")
def running(case: EngineCase, folder: Path) -> Iterator[Any]:
    """The engine's upstream, started."""
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
