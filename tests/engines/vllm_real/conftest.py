"""The real vLLM, on a CPU, with the default model: as a server at an address, and as a child process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anthropic import Anthropic

from clients.conftest import sdk
from conftest import live_registry, registry_of
from dragoman import dialects
from dragoman.engines.vllm.engine import Vllm
from dragoman.models.resolve import resolve
from dragoman.server import ModelRegistry

from .external_server import SLOTS, STARTS_WITHIN, External
from .installed import model_folder

_EXTERNAL = pytest.StashKey[External]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start vLLM while the first tests run, most of which wait for processes."""
    if not session.config.option.collectonly and any("external" in getattr(item, "fixturenames", ()) for item in session.items):
        session.stash[_EXTERNAL] = External()
        session.stash[_EXTERNAL].start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _EXTERNAL in session.stash:
        session.stash[_EXTERNAL].stop()


@pytest.fixture(scope="session")
def folder() -> Path:
    return model_folder(resolve(None).path)


@pytest.fixture(scope="session")
def external(request: pytest.FixtureRequest) -> External:
    """A vLLM server at an address."""
    return request.session.stash[_EXTERNAL]


@pytest.fixture(scope="package")
def running(external: External) -> str:
    """The URL of the vLLM server."""
    return external.url


@pytest.fixture(scope="package")
def registry(running: str) -> ModelRegistry:
    """Dragoman with that vLLM, as if its model used Qwen 3's dialect."""
    return registry_of(Vllm(running, Path, slots=SLOTS), dialect=dialects.get("qwen3"))


@pytest.fixture(scope="package")
def model(registry: ModelRegistry) -> Iterator[Anthropic]:
    with connected(registry) as client:
        yield client


@contextmanager
def connected(registry: ModelRegistry) -> Iterator[Anthropic]:
    """The SDK connected to a server."""
    with live_registry(registry, loads_within=STARTS_WITHIN) as url, sdk(url) as client:
        yield client
