"""Every engine in turn, and what stands behind it."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from dragoman.engines import Capabilities, Engine
from engines.folders import model_folder
from engines_remote.rows import ROWS, Row


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model that all of them serve."""
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Row:
    """An engine."""
    row: Row = request.param
    return row


@pytest.fixture(scope="module")
def running(row: Row, folder: Path) -> Iterator[Any]:
    """What stands behind it."""
    upstream = row.upstream(folder)
    upstream.start_upstream()
    yield upstream
    upstream.stop_upstream()


class Connected(NamedTuple):
    """An engine that was started, what it found, and what stands behind it."""

    row: Row
    engine: Engine
    found: Capabilities
    upstream: Any


@pytest_asyncio.fixture
async def connected(row: Row, running: Any, folder: Path) -> AsyncGenerator[Connected]:
    upstream = row.upstream(folder) if row.name == "scripted" else running
    engine = row.connect(upstream)
    found = await engine.start()
    upstream.reset()
    yield Connected(row, engine, found, upstream)
    await engine.close()
    upstream.reset()
