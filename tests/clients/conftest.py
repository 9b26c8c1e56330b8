from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from conftest import MODEL, live_registry
from controllable_engine import ControllableEngine
from dragoman import dialects
from dragoman.dialects import Dialect
from dragoman.engines.scripted import Line
from dragoman.server import ModelRegistry, Settings, create_app

from .cell import cell
from .claude_code import ClaudeCode
from .recorder import Recorder
from .scene import SILENCE_S, Attentive, Play, Scene, Silence


@pytest.fixture(scope="session")
def connected(shared_server: ControllableEngine) -> Iterator[Anthropic]:
    with sdk(shared_server.url) as client:
        yield client


@pytest.fixture
def client(connected: Anthropic, engine: ControllableEngine) -> Anthropic:
    """The SDK, connected to the shared server; it checks every answer against its types."""
    assert str(connected.base_url).rstrip("/") == engine.url
    return connected


def sdk(url: str, **options: object) -> Anthropic:
    """The SDK for a server of the test's own."""
    return Anthropic(**{"base_url": url, "api_key": "none", "max_retries": 0, "_strict_response_validation": True, **options})


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """`play(line, ...)`: a user whose model says that, one line a turn."""
    with client_sessions(tmp_path) as start:
        yield start


@contextmanager
def client_sessions(folder: Path) -> Iterator[Play]:
    """Likewise; what is heard is written to `folder` at the end."""
    with ExitStack() as stack:

        def start(*script: str | Line, window: int = 200_000, dialect: Dialect = dialects.DEFAULT, **settings: Any) -> Scene:
            lines = [line if isinstance(line, Line) else Line(line) for line in script]
            engine = Attentive(lines, window)
            registry = ModelRegistry(engine, replace(Settings(), dialect=dialect, **settings))
            ours = stack.enter_context(cell())
            heard = Recorder(create_app(registry))
            stack.enter_context(live_registry(registry, heard, ours.listener))
            stack.callback(heard.write, folder / "requests.jsonl")
            return Scene(ClaudeCode(ours, folder, MODEL), heard, engine)

        yield start


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who waits for the long silence does so last."""
    items.sort(key=waits)


def waits(item: pytest.Item) -> bool:
    return "silence" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def background(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence | None]:
    """The long silence, if anybody waits for it, from the first test of clients on: the others are played meanwhile."""
    if not any(map(waits, request.session.items)):
        yield None
        return
    with client_sessions(tmp_path_factory.mktemp("silence")) as start:
        scene = start(Line("At last.", chunk=0, delay_ms=SILENCE_S * 1000))
        with scene.claude.start("Take your time.") as client:
            yield Silence(scene, client)
            client.kill()


@pytest.fixture
def silence(background: Silence | None) -> Silence:
    """A scene in which the model reads the prompt for longer than the client is known to bear."""
    assert background is not None
    return background
