"""Tests `dragoman parse` with raw output of models."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from dragoman import dialects
from dragoman.cli import main

ADD = {"name": "add", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'


def parse(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    result = CliRunner().invoke(main, ["parse"], input="\n".join(json.dumps(line) for line in lines))
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


@pytest.mark.parametrize("chunk", [0, 1, 3])
@pytest.mark.clause("RES-5", "STOP-2")
def test_thinking_text_and_a_call(chunk: int) -> None:
    raw = f"<think>\nHm.\n</think>\n\nI add. {CALL}"
    (received,) = parse({"dialect": "qwen3", "raw": raw, "tools": [ADD], "chunk": chunk})
    thinking, text, call = received["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "Hm.")
    assert (text["type"], text["text"]) == ("text", "I add.")
    assert (call["type"], call["name"], call["input"]) == ("tool_use", "add", {"a": 1})
    assert received["stop_reason"] == "tool_use"
    assert received["repairs"] == []
    assert "partial_json" not in received


@pytest.mark.clause("STOP-3")
def test_a_cut_call_has_its_streamed_arguments() -> None:
    raw = '<tool_call>\n{"name": "add", "arguments": {"a": '
    (received,) = parse({"dialect": "hermes", "raw": raw, "tools": [ADD], "finish": "length"})
    assert received["partial_json"] == '{"a": '
    assert received["stop_reason"] == "max_tokens"


@pytest.mark.clause("STOP-3", "TOOL-17")
def test_a_broken_call_has_only_the_arguments_that_the_model_wrote() -> None:
    raw = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": [2 oops'
    (received,) = parse({"dialect": "hermes", "raw": raw, "tools": [ADD]})
    assert received["partial_json"] == '{"a": 1, "b": [2'
    assert received["content"][0]["input"] == {"a": 1, "b": [2]}


def test_without_tools_every_tagged_call_counts_as_declared() -> None:
    tagged, bare, none = parse(
        {"dialect": "qwen3-coder", "raw": "<function=look>\n<parameter=n>\n42\n</parameter>\n</function>"},
        {"dialect": "llama3-json", "raw": '{"name": "look", "parameters": {"n": 42}}'},
        {"dialect": "hermes", "raw": CALL, "tool_choice": "none"},
    )
    assert [(block["name"], block["input"]) for block in tagged["content"]] == [("look", {"n": "42"})]
    assert [block["type"] for block in bare["content"]] == ["text"]
    assert [block["type"] for block in none["content"]] == ["text"]


def test_tool_choice_parallel_and_think_pre_opened() -> None:
    none, single, inside = parse(
        {"dialect": "hermes", "raw": CALL, "tools": [ADD], "tool_choice": {"type": "none"}},
        {"dialect": "hermes", "raw": f"{CALL}\n{CALL}", "tools": [ADD], "parallel": False},
        {"dialect": "qwen3", "raw": "Hm.</think>Yes.", "think_pre_opened": True},
    )
    assert [block["type"] for block in none["content"]] == ["text"]
    assert [block["type"] for block in single["content"]] == ["tool_use"]
    assert [block["type"] for block in inside["content"]] == ["thinking", "text"]


@pytest.mark.parametrize("name", sorted(dialects.BY_NAME))
def test_plain_text_is_text_in_every_dialect(name: str) -> None:
    (received,) = parse({"dialect": name, "raw": "Just words.", "tools": [ADD], "chunk": 1})
    assert [block["text"] for block in received["content"]] == ["Just words."]
    assert received["stop_reason"] == "end_turn"


@pytest.mark.parametrize("line", ["{", '{"raw": 1}', '{"raw": "x", "dialect": "nope"}'])
def test_a_bad_line_is_reported_with_exit_code_2(line: str) -> None:
    result = CliRunner().invoke(main, ["parse"], input=f'{{"raw": "ok"}}\n{line}')
    assert result.exit_code == 2
    assert "line 2" in result.output
