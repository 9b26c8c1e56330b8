"""Tests `dragoman detect` with templates and models."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dragoman import dialects
from dragoman.cli import main
from dragoman.inspection.capability_probe import probe
from dragoman.prompt import ChatTemplate
from prompt.templates import CHATML

QWEN3 = dialects.get("qwen3").reference_template or ""


def detect(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["detect", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def template(folder: Path, source: str) -> str:
    path = folder / "chat.jinja"
    path.write_text(source, encoding="utf-8")
    return str(path)


def test_the_dialect_and_capabilities_of_a_template(tmp_path: Path) -> None:
    found = detect(template(tmp_path, QWEN3))
    assert (found["dialect"], found["found"]) == ("qwen3", "decoded back")
    assert "hermes" in found["runners_up"]
    capabilities = probe(ChatTemplate(QWEN3))
    assert found["late_system"] == capabilities.late_system
    assert {name for name in dir(capabilities) if not name.startswith("_")} <= set(found)


def test_the_default_model_has_the_generic_dialect() -> None:
    found = detect()
    assert (found["dialect"], found["found"]) == ("qwen3", "generic: the template prints no calls")
    assert found["late_system"] == probe(ChatTemplate(CHATML)).late_system


def test_the_text_output_has_a_line_for_each_finding(tmp_path: Path) -> None:
    path = template(tmp_path, QWEN3)
    result = CliRunner().invoke(main, ["detect", path])
    lines = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert lines["dialect"].strip() == "qwen3"
    assert lines["found"].strip() == "decoded back"
    assert len(lines) == len(detect(path))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.jinja", None, "no such file"),
        ("none.gguf", None, "no such file"),
        ("not.gguf", "{{ messages }}", "is not a GGUF file"),
        ("bad.jinja", "{% if %}", "does not compile"),
        ("poem.txt", "No user speaks here.", "does not render a user turn"),
    ],
)
def test_an_invalid_argument_is_one_line_and_exit_code_2(tmp_path: Path, name: str, content: str | None, reason: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content, encoding="utf-8")
    result = CliRunner().invoke(main, ["detect", str(path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert reason in line


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\xff\xfe\x00")
    result = CliRunner().invoke(main, ["detect", str(path)])
    assert result.exit_code == 2
    assert "neither a chat template nor a .gguf file" in result.stderr
