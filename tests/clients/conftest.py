from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from conftest import MODEL, live_registry, registry_of
from controllable_engine import ControllableEngine
from dragoman import dialects
from dragoman.dialects import Dialect
from dragoman.engines.scripted import Line
from dragoman.server import create_app

from .claude_code import ClaudeCode
from .codex import Codex
from .network_sandbox import NetworkSandbox, network_sandbox
from .recorder import Recorder
from .session import SILENCE_S, CodexSession, RecordingEngine, Session, Silence, StartCodex, StartSession


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
    """The SDK, connected to another server."""
    return Anthropic(**{"base_url": url, "api_key": "none", "max_retries": 0, "_strict_response_validation": True, **options})


@pytest.fixture
def start_session(tmp_path: Path) -> Iterator[StartSession]:
    """`start_session(line, ...)` starts a session whose model answers with these lines, one per request."""
    with client_sessions(tmp_path) as start:
        yield start


@pytest.fixture
def start_codex(tmp_path: Path) -> Iterator[StartCodex]:
    """`start_codex(line, ...)` starts a session of Codex in the same way."""
    with recorded_servers(tmp_path) as serve:

        def start(*script: str | Line, **options: Any) -> CodexSession:
            sandbox, recorder, engine = serve(*script, **options)
            return CodexSession(Codex(sandbox, tmp_path, MODEL), recorder, engine)

        yield start


@contextmanager
def client_sessions(folder: Path) -> Iterator[StartSession]:
    """A function that starts sessions of Claude Code; the recorded requests are written to `folder` at the end."""
    with recorded_servers(folder) as serve:

        def start(*script: str | Line, **options: Any) -> Session:
            sandbox, recorder, engine = serve(*script, **options)
            return Session(ClaudeCode(sandbox, folder, MODEL), recorder, engine)

        yield start


@contextmanager
def recorded_servers(folder: Path) -> Iterator[Callable[..., tuple[NetworkSandbox, Recorder, RecordingEngine]]]:
    """A function that starts servers in networks of their own; the recorded requests are written to `folder` at the end."""
    with ExitStack() as stack:

        def start(
            *script: str | Line,
            window: int = 200_000,
            sees: bool = False,
            dialect: Dialect = dialects.DEFAULT,
            **settings: Any,
        ) -> tuple[NetworkSandbox, Recorder, RecordingEngine]:
            lines = [line if isinstance(line, Line) else Line(line) for line in script]
            engine = RecordingEngine(lines, window, sees=sees)
            registry = registry_of(engine, dialect=dialect, **settings)
            sandbox = stack.enter_context(network_sandbox())
            recorder = Recorder(create_app(registry))
            stack.enter_context(live_registry(registry, recorder, sandbox.listener))
            stack.callback(recorder.write, folder / "requests.jsonl")
            return sandbox, recorder, engine

        yield start


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that use the long silence last."""
    items.sort(key=uses_silence)


def uses_silence(item: pytest.Item) -> bool:
    return "silence" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def background(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence | None]:
    """The session with the long silence, if a test uses it; it runs beside the tests of clients, from the first one on."""
    if not any(map(uses_silence, request.session.items)):
        yield None
        return
    with client_sessions(tmp_path_factory.mktemp("silence")) as start:
        session = start(Line("At last.", chunk=0, delay_ms=SILENCE_S * 1000))
        with session.claude.start("Take your time.") as client:
            yield Silence(session, client)
            client.kill()


@pytest.fixture
def silence(background: Silence | None) -> Silence:
    """A session in which the model reads the prompt for longer than the client waits for a silent stream."""
    assert background is not None
    return background
