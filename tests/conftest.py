"""Live servers for tests: the real application on a real socket."""

import asyncio
import gc
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from hypothesis import settings
from starlette.types import ASGIApp

from dragoman.engines import Engine
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server import ModelRegistry, Settings, create_app
from dragoman.server.connection import Connection
from stage import Stage

# A hundred short processes are started here, and three long ones that import thousands of files: those are compiled once.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

MODEL = "scripted"
settings.register_profile("everyday", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=300, deadline=None)
settings.load_profile(os.environ.get("DRAGOMAN_TESTS", "everyday"))

HEADERS = {"anthropic-version": "2023-06-01", "content-type": "application/json"}

NAMED_CLAUSES = pytest.StashKey[dict[str, list[str]]]()
"""Which tests name which clause of the contract (tests/clauses)."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: many tests wait for servers and for time limits."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note the clauses before the slow tests are deselected."""
    named = config.stash.setdefault(NAMED_CLAUSES, {})
    for item in items:
        for marker in item.iter_markers("clause"):
            for clause in marker.args:
                named.setdefault(clause, []).append(item.nodeid)


def pytest_collection_finish() -> None:
    """What is here now stays: thousands of tests, through which the collector need not go again and again."""
    gc.freeze()


def live_server(engine: Engine, settings: Settings) -> AbstractContextManager[str]:
    """Serve `engine` from a thread with a loop of its own; gives the URL."""
    return live_registry(ModelRegistry(engine, settings))


@contextmanager
def live_registry(
    registry: ModelRegistry, app: ASGIApp | None = None, listener: socket.socket | None = None, *, loads_within: float = 60
) -> Iterator[str]:
    """Likewise, for tests that look behind the scenes: `app` is what stands around the gateway's own application."""
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
    """`serve("model output", ...)`: the URL of a server whose scripted engine says that; keywords go to `Settings`."""
    with ExitStack() as stack:

        def start(*script: str | Line, window: int = 200_000, slots: int = 64, **settings: Any) -> str:
            lines = [line if isinstance(line, Line) else Line(line) for line in script or ("Hello there.",)]
            engine = ScriptedEngine(lines, model=MODEL, window=window, slots=slots)
            return stack.enter_context(live_server(engine, replace(Settings(), **settings)))

        yield start


@pytest.fixture(scope="session")
def theatre() -> Iterator[Stage]:
    """One server for all tests that need nothing special of it."""
    engine = Stage()
    with live_server(engine, Settings(model_id=MODEL, aliases=("small", "org/model"))) as engine.url:
        yield engine


@pytest.fixture
def stage(theatre: Stage) -> Iterator[Stage]:
    """`stage.says("model output")`: the URL of a server whose model says that. Quicker than `serve`, which starts a new one."""
    yield theatre
    theatre.release()
    theatre.reset()


def user(text: str) -> dict[str, Any]:
    """A user message."""
    return {"role": "user", "content": text}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of a small request."""
    return {"model": MODEL, "max_tokens": 1024, "messages": list(messages) or [user("Hi")], **fields}
