"""Tests `dragoman launch` for every program: environment, files, arguments, warnings. tests/clients runs the real ones."""

import json
import os
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import MODEL, Serve
from dragoman.cli import main
from dragoman.cli.launch.environment import Prepared, prepare
from dragoman.cli.launch.program import Program, User
from dragoman.cli.launch.programs import PROGRAMS
from dragoman.cli.launch.programs.codex import CODEX
from dragoman.cli.launch.programs.opencode import OPENCODE
from dragoman.cli.launch.target import Target
from dragoman.cli.launch.warnings import warnings

TARGET = Target("http://127.0.0.1:8000", "qwen", 65_536, "secret", "tiny")

REPORTER = r"""#!/bin/sh
env
echo "files and arguments:"
env | sed -n 's|^[A-Z_]*=\(/.*/dragoman-[^:]*\)$|\1|p' | sort | while read -r path; do cat "$path"; echo; done
for word in "$@"; do test -f "$word" && cat "$word"; echo "$word"; done
exit 7
"""
"""A fake program that prints its environment, the temporary files and its arguments."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a project without settings, with every program on the path, and a temporary folder of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in {name for program in PROGRAMS.values() for name in program.names} | {"XDG_CONFIG_HOME", "HTTP_PROXY"}:
        monkeypatch.delenv(name, raising=False)
    for folder in ("bin", "scratch", "project"):
        (tmp_path / folder).mkdir()
    for program in PROGRAMS.values():
        path = tmp_path / "bin" / program.executable
        path.write_text(REPORTER)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["launch", *arguments])


def given(program: Program, target: Target = TARGET) -> tuple[Prepared, str]:
    """What the program is started with, and all of its text: values, arguments and files."""
    found = prepare(program, target, {})
    files = [path.read_text() for path in sorted(found.folder.iterdir())] if found.folder else []
    return found, "\n".join([*found.variables.values(), *found.arguments, *files])


every_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)


@every_program
def test_a_program_gets_the_server_the_key_and_the_model(program: Program) -> None:
    _, text = given(program)
    for words in (TARGET.url, TARGET.key, TARGET.model):
        assert words in text
    _, unknown = given(program, Target(TARGET.url, TARGET.model, None))
    assert "65536" not in unknown
    assert "None" not in unknown


@every_program
def test_files_are_private_and_removed_at_the_end(
    program: Program, home: Path, serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    url = serve(api_key="secret")
    done = invoke(program.name, "--url", url, "--api-key", "secret", "--", "do it")
    assert done.exit_code == 7, done.stderr
    printed = capfd.readouterr().out
    assert url in printed
    assert MODEL in printed
    assert printed.splitlines()[-1] == "do it"
    assert f"{program.title} works with {MODEL} at {url}" in done.stderr
    assert list((home / "scratch").iterdir()) == []
    found, _ = given(program)
    assert found.folder is None or found.folder.stat().st_mode & 0o77 == 0


@every_program
def test_printed_lines_have_the_same_effect(
    program: Program, home: Path, serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    url = serve()
    invoke(program.name, "--url", url, "--", "do it")
    launched = capfd.readouterr().out
    done = invoke(program.name, "--url", url, "--print-env")
    assert done.exit_code == 0
    shell = subprocess.run(
        ["sh", "-c", f"{done.stdout}\n{program.executable} 'do it'"], capture_output=True, text=True, check=False
    )
    folders = [str(folder) for folder in (home / "scratch").iterdir()]
    assert [line for line in done.stdout.splitlines() if "#" in line] == [f"# afterwards: rm -r {folder}" for folder in folders]
    assert _comparable(program, shell.stdout) == _comparable(program, launched)


def _comparable(program: Program, printed: str) -> list[str]:
    """The program's own variables, its files and its arguments, without the random names of temporary folders."""
    variables, _, rest = printed.partition("files and arguments:")
    own = sorted(line for line in variables.splitlines() if line.split("=")[0] in program.names)
    return ["/".join(part for part in line.split("/") if not part.startswith("dragoman-")) for line in [*own, rest]]


@every_program
def test_a_missing_program_is_one_line_with_its_installation(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = invoke(program.name)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {program.title} is not installed")
    assert program.install in done.stderr


@every_program
def test_a_small_window_and_the_users_variables_are_reported(program: Program, home: Path) -> None:
    user = User(dict.fromkeys(program.names, "theirs"), home)
    found = prepare(program, TARGET, user.environment)
    small = Target(TARGET.url, "qwen", program.prompt - 1)
    lines = list(warnings(program, small, user, found.variables))
    assert "too small" in lines[0]
    assert {line.split()[0] for line in lines[1:]} == program.names
    assert not set(program.removed) & found.environment(user.environment).keys()


def test_without_a_program_they_are_listed(home: Path) -> None:
    (home / "bin" / "codex").unlink()
    lines = invoke().stdout.splitlines()
    assert len(lines) == len(PROGRAMS) + 1
    assert any(line.split()[0] == "codex" and line.endswith(CODEX.install) for line in lines)
    assert any(line.split()[0] == "opencode" and line.endswith(str(home / "bin" / "opencode")) for line in lines)


def test_an_unknown_program_is_refused() -> None:
    assert "'vi' is not one of" in invoke("vi").stderr


def test_codex_gets_options_in_toml() -> None:
    found, _ = given(CODEX)
    values = tomllib.loads("\n".join(found.arguments[1::2]))
    assert set(found.arguments[::2]) == {"-c"}
    assert values["model_context_window"] == 65_536
    assert values["model_auto_compact_token_limit"] == 65_536 - 8_192
    assert values["model_providers"]["dragoman"]["base_url"] == "http://127.0.0.1:8000/v1"
    assert values["analytics"]["enabled"] is False


def test_opencode_gets_both_models_with_their_limits(home: Path) -> None:
    found, _ = given(OPENCODE)
    configuration = json.loads(found.variables["OPENCODE_CONFIG_CONTENT"])
    assert configuration["model"] == "dragoman/qwen"
    assert configuration["small_model"] == "dragoman/tiny"
    models = configuration["provider"]["dragoman"]["models"]
    limit = {"context": 65_536, "output": 8_192}
    assert {name: model["limit"] for name, model in models.items()} == {"qwen": limit, "tiny": limit}


@pytest.mark.parametrize(
    ("program", "file", "text", "words"),
    [
        (
            "opencode",
            ".config/opencode/opencode.jsonc",
            '{"agent": {"build": {"model": "x/y"}}} // mine',
            "sets agent, whose models",
        )
    ],
)
def test_settings_that_take_precedence_are_reported(home: Path, program: str, file: str, text: str, words: str) -> None:
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    [line] = PROGRAMS[program].overriding(User({"HOME": str(home)}, home / "project"), {}, set())
    assert line.startswith(f"{path} {words}")


def test_shell_lines_quote_what_they_contain() -> None:
    found = prepare(CODEX, Target(TARGET.url, "a model's name", 65_536), os.environ)
    [function] = [line for line in found.shell_lines() if line.startswith("codex()")]
    assert 'model="a model\'s name"' in shlex.split(function)
