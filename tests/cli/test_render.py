"""Tests `dragoman render`, which prints the prompt of a request."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dragoman import dialects
from dragoman.cli import main
from prompt import templates

BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 16,
    "system": "You help.",
    "tools": [{"name": "now", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "How late is it?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}]},
    ],
}


def render(*arguments: str, body: Any = BODY) -> Result:
    return CliRunner().invoke(main, ["render", *arguments], input=body if isinstance(body, str) else json.dumps(body))


@pytest.fixture
def template(tmp_path: Path) -> str:
    path = tmp_path / "chat_template.jinja"
    path.write_text(templates.CHATML, encoding="utf-8")
    return str(path)


def test_the_prompt_is_on_standard_output_and_the_rest_on_standard_error(template: str) -> None:
    result = render("--template", template, "--dialect", "hermes")
    assert result.exit_code == 0
    assert result.stdout.startswith("<|im_start|>system\nYou help.\n\n# Tools")
    assert result.stdout.endswith("<tool_response>\nnoon\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
    assert result.stderr.splitlines() == [
        "tokens: unknown: a template has no tokenizer",
        "dialect: hermes",
        "encoded: 1 tools, as the template renders none",
        "encoded: calls, as the template loses them",
        "encoded: results, as the template loses them",
    ]


def test_json_is_one_object(template: str) -> None:
    found = json.loads(render("--template", template, "--json").stdout)
    assert set(found) == {"prompt", "tokens", "dialect", "thinking_open", "notes", "losses"}
    assert (found["tokens"], found["dialect"], found["thinking_open"]) == (None, dialects.DEFAULT.name, False)
    assert found["losses"] == ["tools", "calls", "results", "reasoning in a tool loop", "reasoning of earlier turns"]


@pytest.mark.clause("THK-1")
def test_a_prompt_that_ends_inside_reasoning_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.jinja"
    path.write_text(
        templates.CHATML.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>\\n"), encoding="utf-8"
    )
    body = {**BODY, "thinking": {"type": "adaptive"}}
    assert "dialect: qwen3, inside reasoning" in render("--template", str(path), body=body).stderr
    assert "inside reasoning" not in render("--template", str(path)).stderr


def test_a_request_to_count_tokens_is_accepted(template: str) -> None:
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}
    assert render("--template", template, body=body).stdout == render("--template", template).stdout


@pytest.mark.parametrize(
    ("arguments", "body", "message"),
    [
        (["--model", "x.gguf"], BODY, "exclude each other"),
        (["--dialect", "nope"], BODY, "unknown dialect 'nope'"),
        ([], "{", "not valid JSON"),
        ([], "[]", "Input should be an object"),
        ([], {**BODY, "messages": []}, "messages: at least one message is required"),
    ],
)
def test_a_refusal_is_one_line(template: str, arguments: list[str], body: Any, message: str) -> None:
    result = render("--template", template, *arguments, body=body)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_an_invalid_template_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jinja"
    path.write_text("{% if %}", encoding="utf-8")
    assert "does not compile" in render("--template", str(path)).stderr
    path.write_bytes(b"\xff\xfe")
    assert render("--template", str(path)).exit_code == 2


@pytest.mark.slow
@pytest.mark.clause("CNT-2")
def test_with_a_model_the_tokens_are_counted() -> None:
    found = json.loads(render("--json").stdout)
    assert found["prompt"].startswith("<|im_start|>system\nYou help.\n\n# Tools")
    assert 100 < found["tokens"] < len(found["prompt"])
