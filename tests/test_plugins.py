"""Engines and dialects of other packages: the example package, installed beside Dragoman."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dragoman
from dragoman.plugins import BadPlugin, register_dialects

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "plugin"
ENTRY_POINTS = """
[dragoman.engines]
echo = dragoman_example.engine:build
[dragoman.dialects]
example = dragoman_example.dialect:EXAMPLE
example-lines = dragoman_example.dialect:LINES
"""


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the example and its entry points on the path, as an installation puts them there."""
    path = os.pathsep.join([str(folder), str(EXAMPLE / "src")])
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    metadata = tmp_path / "dragoman_example-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dragoman-example\nVersion: 0.1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return tmp_path


def test_the_entry_points_of_the_example_are_those_of_the_tests() -> None:
    project = (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    for line in ENTRY_POINTS.strip().splitlines():
        if " = " in line:
            name, target = line.split(" = ")
            assert f'{name} = "{target}"' in project


def test_an_engine_of_another_package_answers(installed: Path) -> None:
    code = """
import sys
sys.path.insert(0, "tests")
from conftest import live_registry, registry_of
from dragoman.cli.engines import ENGINES, build
from dragoman.plugins import EngineOptions, build_engine, register_dialects
from server.http import post
assert "echo" in ENGINES
register_dialects()
with live_registry(registry_of(build_engine("echo", EngineOptions()))) as url:
    body = {"model": "echo", "max_tokens": 50, "messages": [{"role": "user", "content": "Line one\\nHello."}]}
    print(post(url, body).json["content"][0]["text"])
"""
    done = run(installed, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Hello.\n"


@pytest.mark.slow
def test_a_dialect_of_another_package_is_detected_and_its_codec_reads_writes_and_constrains(installed: Path) -> None:
    """Of the codec, what `tests/dialects` checks for those of this package: the writer's calls are read back and allowed."""
    code = """
import json, random, sys
sys.path.insert(0, "tests")
from dragoman.plugins import register_dialects
register_dialects()
from dragoman import dialects
from dragoman.conversation import ToolCall
from dragoman.inspection.detection import detect
from dragoman.prompt import ChatTemplate
from dialects.reading import read
from dialects.test_constraint import CALLS, accepts, asked, calls, constraint, read as read_parts, random_output
from splits import same_at_every_split
template = ChatTemplate(
    "{% for message in messages %}<|im_start|>{{ message.role }}\\n{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}<example_call>\\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\\n</example_call>'
    "{% endfor %}<|im_end|>\\n{% endfor %}"
)
print(detect(template).dialect.name, dialects.get("example").name)
lines = dialects.get("example-lines")
written = lines.encode_turn("Hm.", CALLS)
print(lines.encode_calls([ToolCall("1", "add", {"a": 1, "b": [True, "x"]})]))
reading = same_at_every_split(lambda chunks: read(lines, chunks, ["get_weather", "now"]), written)
assert [json.loads(part["arguments"]) for part in reading.parts[1:]] == [call.input for call in CALLS], reading
assert reading.repairs == []
broken = read(lines, [written[: written.index("Ulm")]], ["get_weather", "now"]).parts[-1]
assert not broken["complete"] and json.loads(broken["arguments"]) == {"place": ""}
for call in CALLS:
    forced = constraint(lines, asked("tool", name=call.name))
    assert accepts(forced, lines.encode_calls([call]))
    assert not accepts(forced, "words")
    output = random_output(forced, random.Random(3))
    assert not output or calls(read_parts(lines, asked("any"), output))
"""
    done = run(installed, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'example example\n<line_call>add\na = 1\nb = [true, "x"]\n</line_call>\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[dragoman.dialects]\nx = nowhere:X", "cannot be loaded"),
        ("[dragoman.dialects]\nx = json:dumps", "not a Dialect"),
        ("[dragoman.dialects]\nx = dragoman_example.dialect:OTHER", "cannot be loaded"),
    ],
)
def test_an_entry_point_that_is_of_no_use_is_named(
    installed: Path, monkeypatch: pytest.MonkeyPatch, line: str, reason: str
) -> None:
    next(installed.glob("*.dist-info")).joinpath("entry_points.txt").write_text(line, encoding="utf-8")
    monkeypatch.syspath_prepend(installed)
    monkeypatch.syspath_prepend(EXAMPLE / "src")
    with pytest.raises(BadPlugin, match=f"'x'.* {reason}"):
        register_dialects()


def test_the_public_names_are_there() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    names = [name for name in dir(dragoman) if (not name.startswith("_") and name[0].isupper()) or name == "create_app"]
    assert [name for name in names if f"`{name}`" not in page and name != "TYPE_CHECKING"] == ["Any"]
    assert all(getattr(dragoman, name) for name in names if name != "TYPE_CHECKING")


@pytest.mark.slow
def test_a_program_embeds_the_server() -> None:
    code = """
import json, socket, threading, urllib.request
import dragoman, uvicorn
app = dragoman.create_app(dragoman.ScriptedEngine([dragoman.Line("Hello.")]))
listener = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, log_config=None))
thread = threading.Thread(target=server.run, args=([listener],))
thread.start()
body = {"model": "scripted", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi."}]}
url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/messages"
headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
    print(json.load(answer)["content"][0]["text"])
server.should_exit = True
thread.join()
"""
    done = run(ROOT, code)
    assert done.stdout == "Hello.\n", done.stderr
