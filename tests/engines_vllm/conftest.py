"""The real vLLM, on a CPU, with the default model: as somebody else runs it, and as we start it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anthropic import Anthropic

from clients.conftest import sdk
from conftest import live_registry
from dragoman import dialects
from dragoman.engines.vllm.engine import Vllm
from dragoman.models.resolve import resolve
from dragoman.server import ModelRegistry, Settings

from .external import SLOTS, STARTS_WITHIN, External
from .installed import model_folder

_EXTERNAL = pytest.StashKey[External]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """It comes up while the first tests run, most of which wait for each other's processes."""
    if not session.config.option.collectonly and any("external" in getattr(item, "fixturenames", ()) for item in session.items):
        session.stash[_EXTERNAL] = External()
        session.stash[_EXTERNAL].begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _EXTERNAL in session.stash:
        session.stash[_EXTERNAL].end()


@pytest.fixture(scope="session")
def folder() -> Path:
    return model_folder(resolve(None).path)


@pytest.fixture(scope="session")
def external(request: pytest.FixtureRequest) -> External:
    """The vLLM that somebody else runs."""
    return request.session.stash[_EXTERNAL]


@pytest.fixture(scope="package")
def running(external: External) -> str:
    """Its URL."""
    return external.url


@pytest.fixture(scope="package")
def registry(running: str) -> ModelRegistry:
    """Dragoman over that vLLM, as if its model wrote Qwen 3's dialect."""
    return ModelRegistry(Vllm(running, Path, slots=SLOTS), Settings(dialect=dialects.get("qwen3")))


@pytest.fixture(scope="package")
def model(registry: ModelRegistry) -> Iterator[Anthropic]:
    with connected(registry) as client:
        yield client


@contextmanager
def connected(registry: ModelRegistry) -> Iterator[Anthropic]:
    """The SDK over a gateway."""
    with live_registry(registry, loads_within=STARTS_WITHIN) as url, sdk(url) as client:
        yield client
