"""A search finds tools, describes them to the model, and makes them callable."""

import pytest

from dragoman.conversation import Dialogue, Text, Tool
from dragoman.parts.server_tools import FoundTools, ToolFailure
from dragoman.server_tools.tool_search import BM25, REGEX, ToolSearchTool

TOOLS = [Tool("get_weather", "The weather", {"type": "object"}), Tool("send_mail", "Sends a mail", {"type": "object"})]
NOTHING_SAID = Dialogue()


@pytest.mark.clause("TOOL-12")
@pytest.mark.parametrize(("name", "field"), [(REGEX, "pattern"), (BM25, "query")])
async def test_found_tools_are_described_and_can_be_called(name: str, field: str) -> None:
    search = ToolSearchTool(name, TOOLS)
    output = await search.run({field: "weather"}, NOTHING_SAID)
    assert output == FoundTools(("get_weather",))
    assert search.found(output) == TOOLS[:1]
    (text,) = search.for_model(output)
    assert isinstance(text, Text)
    assert (
        text.text
        == '<function>{"name": "get_weather", "description": "The weather", "parameters": {"type": "object"}}</function>'
    )


async def test_a_search_without_result_says_so() -> None:
    search = ToolSearchTool(REGEX, TOOLS)
    output = await search.run({"pattern": "moon"}, NOTHING_SAID)
    assert (output, search.found(output)) == (FoundTools(()), [])
    assert search.for_model(output) == (Text("The search found no tools."),)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [(REGEX, "pattern", "("), (REGEX, "pattern", "x" * 201), (BM25, "query", "x " * 300)],
)
async def test_an_input_that_is_not_accepted_is_a_failure_with_a_reason(name: str, field: str, value: str) -> None:
    output = await ToolSearchTool(name, TOOLS).run({field: value}, NOTHING_SAID)
    assert isinstance(output, ToolFailure)
    assert output.code == "invalid_tool_input"
    assert output.message
