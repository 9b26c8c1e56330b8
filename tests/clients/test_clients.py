"""Every client of the roster takes its steps, each in an installation and a network of its own."""

import json
from pathlib import Path

import pytest

from conftest import MODEL, live_registry
from dragoman.cli.launch.servers import DEFAULT_URL
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server import ModelRegistry, Settings, create_app

from .cell import cell
from .page import lines_to_paste, made, renewed, scenes
from .recorder import Recorder
from .roster import CLAUDE_CODE_STEPS, CLIENTS, STEPS, Client


def script(client: Client) -> list[Line]:
    """What the model says; `programs/steps.py` has the other half."""
    city = {"city": "Ulm"}
    return [
        Line("Then the sun.", when="And then?"),
        Line("It rains in Ulm.", when="rain, 12 degrees"),
        Line(called(client.weather_tool, {"place": "Ulm"}), when="Weather in Ulm?"),
        Line("<think>\nIt may rain.\n</think>\n\nWe shall see.", when="Think of rain."),
        Line(json.dumps(city), when="in JSON."),
        Line(called(client.city_tool, city) if client.city_tool else json.dumps(city), when="Name a city."),
        Line("Hello there."),
    ]


def called(name: str, arguments: dict[str, str]) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@pytest.mark.slow
@pytest.mark.clause("THR-1", "THR-3", "RES-8", "ERR-3")
@pytest.mark.timeout(600)  # the first run installs it
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_takes_its_steps(client: Client, tmp_path: Path) -> None:
    engine = ScriptedEngine(script(client), model=MODEL)
    registry = ModelRegistry(engine, Settings(api_key="secret"))
    recorder = Recorder(create_app(registry))
    with cell() as ours, live_registry(registry, recorder, ours.listener):
        outcome = client.run(ours, tmp_path)
    recorder.write(tmp_path / "requests.jsonl")
    assert outcome == client.expected, "\n".join(map(str, recorder.exchanges))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_lines_to_paste_do_what_they_say(client: Client, tmp_path: Path) -> None:
    registry = ModelRegistry(ScriptedEngine(script(client), model=MODEL), Settings())
    with cell() as ours, live_registry(registry, listener=ours.listener):
        program = tmp_path / f"pasted{Path(client.program).suffix}"
        program.write_text(lines_to_paste(client).replace(DEFAULT_URL, ours.url), encoding="utf-8")
        if program.suffix == ".mjs":
            (tmp_path / "node_modules").symlink_to(client.installed / "node_modules")  # a module looks beside itself
        assert client.execute(program, ours, tmp_path).splitlines()[-1] in ("Hello there.", "Ulm")


@pytest.mark.parametrize("page", made(), ids=lambda page: page.stem)
def test_a_page_of_clients_says_what_the_data_say(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == renewed(page, made()[page]), "run scripts/client-table"


def test_the_steps_of_claude_code_are_scenes_that_are_played() -> None:
    assert set(CLAUDE_CODE_STEPS) <= set(STEPS)
    assert set(CLAUDE_CODE_STEPS.values()) <= set(scenes())
