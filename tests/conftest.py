"""Live servers for tests: the real application on a real socket."""

import asyncio
import gc
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import fields, replace
from functools import cache
from typing import Any

import httpcore2
import pytest
import uvicorn
from hypothesis import settings
from starlette.types import ASGIApp

from controllable_engine import ControllableEngine
from dragoman.engines import Engine
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.media.vision import Vision
from dragoman.server import ModelEntry, ModelRegistry, Settings, create_app
from dragoman.server.transport.connection import Connection

gc.disable()  # until all tests are collected: there are thousands, and none of them is garbage

# The tests start about a hundred processes that import the same files: compile those once.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

MODEL = "scripted"
settings.register_profile("everyday", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=300, deadline=None)
settings.load_profile(os.environ.get("DRAGOMAN_TESTS", "everyday"))

HEADERS = {"anthropic-version": "2023-06-01", "content-type": "application/json"}

NAMED_CLAUSES = pytest.StashKey[dict[str, list[str]]]()
"""The ids of the tests that name each clause of the contract (tests/clauses)."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores, as many tests wait for servers. Slow tests use all cores and run in one process."""
    everyday = "not slow" in config.option.markexpr
    return (os.cpu_count() or 1) + 1 if everyday else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Record the clauses of all tests before the slow ones are deselected."""
    named = config.stash.setdefault(NAMED_CLAUSES, {})
    for item in items:
        for marker in item.iter_markers("clause"):
            for clause in marker.args:
                named.setdefault(clause, []).append(item.nodeid)


def pytest_collection_finish() -> None:
    """Exempt the collected tests from garbage collection, which begins here: they stay until the end."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """All clients of the SDKs share a TLS context: each would read the certificates of the system again, in 30 ms of CPU."""
    read = httpcore2.default_ssl_context

    @cache
    def shared(certificates: str | None) -> ssl.SSLContext:
        return read()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", lambda **_: shared(os.environ.get("SSL_CERT_FILE")))
        yield


ENTRY_FIELDS = frozenset(field.name for field in fields(ModelEntry))


def registry_of(engine: Engine, *, vision: Vision | None = None, **given: Any) -> ModelRegistry:
    """The registry of one engine; keywords go to its `ModelEntry` or to the `Settings`."""
    entry = {name: value for name, value in given.items() if name in ENTRY_FIELDS}
    settings = {name: value for name, value in given.items() if name not in ENTRY_FIELDS}
    return ModelRegistry([ModelEntry.of(engine, **entry)], replace(Settings(), **settings), vision)


def live_server(engine: Engine, **given: Any) -> AbstractContextManager[str]:
    """Serve `engine` from a thread with its own event loop, and yield the URL; keywords as for `registry_of`."""
    return live_registry(registry_of(engine, **given))


@contextmanager
def live_registry(
    registry: ModelRegistry, app: ASGIApp | None = None, listener: socket.socket | None = None, *, loads_within: float = 60
) -> Iterator[str]:
    """Serve a registry, for tests that inspect it; `app` replaces the application, for example with one that wraps it."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app or create_app(registry), log_config=None, access_log=False, lifespan="on", http=Connection)
    server = uvicorn.Server(config)
    loaded = threading.Event()

    async def serve() -> None:
        registry.load().add_done_callback(lambda _: loaded.set())
        await server.serve([listener])

    def run() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert loaded.wait(loads_within)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve("model output", ...)`: the URL of a new server whose scripted engine says it; keywords as for `registry_of`."""
    with ExitStack() as stack:

        def start(*script: str | Line, window: int = 200_000, slots: int = 64, **settings: Any) -> str:
            lines = [line if isinstance(line, Line) else Line(line) for line in script or ("Hello there.",)]
            engine = ScriptedEngine(lines, model=MODEL, window=window, slots=slots)
            return stack.enter_context(live_server(engine, **settings))

        yield start


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ControllableEngine]:
    """The engine of one server that all tests with default settings share."""
    engine = ControllableEngine()
    with live_server(engine, id=MODEL, aliases=("small", "org/model")) as engine.url:
        yield engine


@pytest.fixture
def engine(shared_server: ControllableEngine) -> Iterator[ControllableEngine]:
    """The engine of the shared server: `engine.says("output")` sets its output and returns the URL. Faster than `serve`."""
    yield shared_server
    shared_server.release()
    shared_server.reset()


def user(text: str) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": text}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a small request."""
    return {"model": MODEL, "max_tokens": 1024, "messages": list(messages) or [user("Hi")], **fields}
