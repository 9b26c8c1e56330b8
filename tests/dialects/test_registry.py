"""The names of dialects and of the parsers of other servers."""

from collections.abc import Callable

import pytest

from dragoman import dialects
from dragoman.dialects.registry import REASONING_PARSERS, TOOL_PARSERS


def test_a_dialect_is_found_by_its_name() -> None:
    assert [dialects.get(name).name for name in dialects.BY_NAME] == list(dialects.BY_NAME)


@pytest.mark.parametrize("name", ["hermes", "qwen25", "qwen2d5", "qwen", "qwen3", "Hermes"])
def test_tool_parsers_of_other_servers_are_known(name: str) -> None:
    assert dialects.by_tool_parser(name).calls == dialects.get("hermes").calls


@pytest.mark.parametrize("name", ["qwen3", "qwen3-thinking", "qwen3_thinking", "default"])
def test_reasoning_parsers_of_other_servers_are_known(name: str) -> None:
    assert dialects.by_reasoning_parser(name).reasoning == dialects.get("qwen3").reasoning


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("deepseek_v3", "deepseek-r1"),
        ("deepseekv31", "deepseek-v3.1"),
        ("mistral", "mistral-v11"),
        ("llama3_json", "llama3-json"),
        ("openai", "gpt-oss"),
        ("gpt-oss", "gpt-oss"),
        ("kimi_k2", "kimi-k2"),
        ("phi4_mini_json", "phi-4-mini"),
        ("cohere_command4", "command-a-2026"),
        ("xlam", "xlam"),
    ],
)
def test_a_tool_parser_gives_the_dialect_that_it_reads(name: str, dialect: str) -> None:
    assert dialects.by_tool_parser(name).name == dialect


@pytest.mark.parametrize("look_up", [dialects.get, dialects.by_tool_parser, dialects.by_reasoning_parser])
def test_the_error_for_an_unknown_name_lists_the_known_ones(look_up: Callable[[str], dialects.Dialect]) -> None:
    with pytest.raises(dialects.UnknownDialect, match=r"'klingon'; known: .*hermes.*qwen3"):
        look_up("klingon")


def test_every_known_name_gives_a_dialect() -> None:
    assert {dialects.by_tool_parser(name).name for name in TOOL_PARSERS} <= set(dialects.BY_NAME)
    assert {dialects.by_reasoning_parser(name).name for name in REASONING_PARSERS} <= set(dialects.BY_NAME)


def test_calls_and_reasoning_of_two_dialects_combine() -> None:
    combined = dialects.combine(dialects.get("hermes"), dialects.get("qwen3"))

    assert combined.name == "hermes+qwen3"
    assert combined.calls == dialects.get("hermes").calls
    assert combined.reasoning == dialects.get("qwen3").reasoning
    assert dialects.combine(dialects.get("qwen3"), dialects.get("qwen3")) is dialects.get("qwen3")
