from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic

from conftest import MODEL, live_gateway
from dragoman import dialects
from dragoman.dialects import Dialect
from dragoman.engines.scripted import Line
from dragoman.server import Gateway, Settings, create_app
from stage import Stage

from .cell import cell
from .claude_code import ClaudeCode
from .recorder import Recorder
from .scene import Attentive, Play, Scene


@pytest.fixture(scope="session")
def connected(theatre: Stage) -> Iterator[Anthropic]:
    with sdk(theatre.url) as client:
        yield client


@pytest.fixture
def client(connected: Anthropic, stage: Stage) -> Anthropic:
    """The SDK, connected to `stage`; it checks every answer against its types."""
    assert str(connected.base_url).rstrip("/") == stage.url
    return connected


def sdk(url: str, **options: object) -> Anthropic:
    """The SDK for a server of the test's own."""
    return Anthropic(**{"base_url": url, "api_key": "none", "max_retries": 0, "_strict_response_validation": True, **options})


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """`play(line, ...)`: a user whose model says that, one line a turn."""
    with ExitStack() as stack:

        def start(*script: str | Line, window: int = 200_000, dialect: Dialect = dialects.DEFAULT, **settings: Any) -> Scene:
            lines = [line if isinstance(line, Line) else Line(line) for line in script]
            engine = Attentive(lines, window)
            gateway = Gateway(engine, replace(Settings(), dialect=dialect, **settings))
            ours = stack.enter_context(cell())
            heard = Recorder(create_app(gateway))
            stack.enter_context(live_gateway(gateway, heard, ours.listener))
            stack.callback(heard.write, tmp_path / "requests.jsonl")
            return Scene(ClaudeCode(ours, tmp_path, MODEL), heard, engine)

        yield start
