"""Tools are found by a regular expression or by words."""

import time
from typing import Any

import pytest

from dragoman.conversation import Tool
from dragoman.server_tools.tool_matching import MOST_FOUND, InvalidPattern, by_pattern, by_words


def tool(name: str, description: str = "", **arguments: str) -> Tool:
    properties = {argument: {"type": "string", "description": text} for argument, text in arguments.items()}
    return Tool(name, description, {"type": "object", "properties": properties})


TOOLS = [
    tool("send_report", "Sends a report", city="Whose weather it is about"),
    tool("getForecast", "The weather of the next days"),
    tool("get_weather", "What it is like outside"),
    tool("createInvoice", "Make a bill", amount="In euros"),
]


@pytest.mark.clause("TOOL-12")
@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("weather", ["get_weather", "getForecast", "send_report"]),
        ("WEATHER", ["get_weather", "getForecast", "send_report"]),
        ("get_.*r$", ["get_weather"]),
        ("euros|bill", ["createInvoice"]),
        (r"\bcity\b", ["send_report"]),
        ("moon", []),
    ],
)
def test_a_pattern_finds_names_first_then_descriptions_then_arguments(pattern: str, names: list[str]) -> None:
    assert by_pattern(pattern, TOOLS) == names


@pytest.mark.parametrize("pattern", ["(", "(?=x)", r"(a)\1", "a{1000}{1000}", "x" * 201, "\ud800"])
def test_a_pattern_that_is_not_accepted_has_a_reason(pattern: str) -> None:
    with pytest.raises(InvalidPattern, match=r"\w"):
        by_pattern(pattern, TOOLS)


def test_no_pattern_takes_long() -> None:
    started = time.monotonic()
    assert by_pattern("(a+)+$|(a|a)*b", [tool("t", "a" * 1_000_000 + "!")]) == []
    assert time.monotonic() - started < 5


@pytest.mark.clause("TOOL-12")
@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("what is the weather", "get_weather"),
        ("create invoices", "createInvoice"),
        ("a forecast, please", "getForecast"),
        ("amount in euros", "createInvoice"),
    ],
)
def test_words_find_the_tool_that_fits_best(query: str, first: str) -> None:
    assert by_words(query, TOOLS)[0] == first


def test_words_that_no_tool_has_find_nothing() -> None:
    assert by_words("quantum", TOOLS) == by_words("", TOOLS) == by_words("weather", []) == []


def test_a_search_finds_a_few_tools_only() -> None:
    many = [tool(f"weather_{number}") for number in range(50)]
    assert len(by_pattern("weather", many)) == len(by_words("weather", many)) == MOST_FOUND


def test_schemas_of_any_form_are_searched() -> None:
    schemas: list[Any] = [{}, {"properties": []}, {"properties": {"moon": 3}, "items": 1}]
    odd = [Tool(str(number), "", schema) for number, schema in enumerate(schemas)]
    assert by_pattern("moon", odd) == by_words("moon", odd) == ["2"]
