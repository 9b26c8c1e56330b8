"""Tests the steps of every client in the list, each with its own installation and network."""

import json
from pathlib import Path

import pytest

from conftest import MODEL, live_registry, registry_of
from dragoman.cli.launch.servers import DEFAULT_URL
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server import create_app
from media.pdf_files import text_pdf

from .client_list import CLIENTS, STEPS, Client
from .codex import CONFIG
from .network_sandbox import network_sandbox
from .page import PROGRAMS, Program, generated, lines_to_paste, updated
from .pictures import RED, color_of, write_picture
from .recorder import Recorder
from .session import RecordingEngine


def script(client: Client) -> list[Line]:
    """The answers of the model to the prompts in `programs/steps.py`."""
    city = {"city": "Ulm"}
    return [
        Line("A red dot.", when="What is on the picture?"),
        Line("They say that it rains.", when='<page number="1">\nIt rains in Ulm.\n</page>'),
        Line("Then the sun.", when="And then?"),
        Line("It rains in Ulm.", when="rain, 12 degrees"),
        Line(call_text(client.weather_tool, {"place": "Ulm"}), when="Weather in Ulm?"),
        Line("<think>\nIt may rain.\n</think>\n\nWe shall see.", when="Think of rain."),
        Line(json.dumps(city), when="in JSON."),
        Line(call_text(client.city_tool, city) if client.city_tool else json.dumps(city), when="Name a city."),
        Line("Hello there."),
    ]


def write_files(home: Path) -> None:
    """The files that the programs send."""
    write_picture(home / "dot.png", RED)
    (home / "rain.pdf").write_bytes(text_pdf(b"It rains in Ulm."))


def call_text(name: str, arguments: dict[str, str]) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@pytest.mark.slow
@pytest.mark.clause("THR-1", "THR-3", "RES-8", "ERR-3")
@pytest.mark.timeout(600)  # the first run installs it
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_steps_of_a_client(client: Client, tmp_path: Path) -> None:
    engine = RecordingEngine(script(client), sees=True)
    registry = registry_of(engine, api_key="secret")
    recorder = Recorder(create_app(registry))
    with network_sandbox() as sandbox, live_registry(registry, recorder, sandbox.listener):
        write_files(tmp_path)
        outcome = client.run(sandbox, tmp_path)
    recorder.write(tmp_path / "requests.jsonl")
    assert outcome == client.expected, "\n".join(map(str, recorder.exchanges))
    shown = [image for images in engine.images for image in images]
    assert {color_of(image) for image in shown} == ({RED} if "image" in client.expected else set())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_lines_to_paste_work(client: Client, tmp_path: Path) -> None:
    registry = registry_of(ScriptedEngine(script(client), model=MODEL))
    with network_sandbox() as sandbox, live_registry(registry, listener=sandbox.listener):
        program = tmp_path / f"pasted{Path(client.program).suffix}"
        program.write_text(lines_to_paste(client).replace(DEFAULT_URL, sandbox.url), encoding="utf-8")
        if program.suffix == ".mjs":
            (tmp_path / "node_modules").symlink_to(
                client.installed / "node_modules"
            )  # a module looks for packages in its own folder
        assert client.execute(program, sandbox, tmp_path).splitlines()[-1] in ("Hello there.", "Ulm")


@pytest.mark.parametrize("page", generated(), ids=lambda page: page.stem)
def test_a_page_about_clients_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == updated(page, generated()[page]), "run scripts/client-table"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_steps_of_a_program_have_tests(program: Program) -> None:
    assert set(program.steps) <= set(STEPS)
    assert set(program.steps.values()) <= set(program.scenarios)


def test_the_configuration_of_codex_is_the_one_of_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clients" / "codex.md").read_text(encoding="utf-8")
    assert CONFIG.replace("URL", DEFAULT_URL).replace("MODEL", "claude-local") in page
