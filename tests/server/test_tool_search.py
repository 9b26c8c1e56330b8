"""The tool search of the server on a live server: found tools are described and can be called."""

from itertools import pairwise
from typing import Any

import pytest

from conftest import MODEL, Serve, body, live_server, user
from dragoman import dialects
from dragoman.conversation import ToolCall
from server.http import get, post
from server.recording_engine import RecordingEngine, common_beginning
from server.sdk import answered

REGEX: dict[str, Any] = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
BM25: dict[str, Any] = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
WEATHER = {"name": "get_weather", "description": "The weather of a place.", "input_schema": PLACE, "defer_loading": True}
MAIL = {"name": "send_mail", "description": "Sends a mail.", "input_schema": PLACE, "defer_loading": True}
QUESTION = user("What is the weather in Ulm?")
FORECAST = '<tool_call>\n{"name": "get_weather", "arguments": {"place": "Ulm"}}\n</tool_call>'


def search(pattern: str = "weather", name: str = "tool_search_tool_regex") -> str:
    field = "pattern" if name == REGEX["name"] else "query"
    return dialects.DEFAULT.encode_calls([ToolCall("", name, {field: pattern})])


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body(*(messages or (QUESTION,)), **{"tools": [REGEX, WEATHER, MAIL]} | fields)


@pytest.mark.clause("TOOL-12", "SSE-20")
@pytest.mark.parametrize("tool", [REGEX, BM25])
@pytest.mark.parametrize("stream", [False, True])
def test_a_found_tool_is_called_in_the_same_message(serve: Serve, tool: dict[str, Any], stream: bool) -> None:
    url = serve("I look. " + search(name=tool["name"]), FORECAST)
    request: Any = {"model": MODEL, "max_tokens": 99, "messages": [QUESTION], "tools": [tool, WEATHER, MAIL]}
    message = answered(url, stream=stream, **request)
    said, use, result, call = message.content
    assert (said.type, use.type, use.name) == ("text", "server_tool_use", tool["name"])
    assert (result.tool_use_id, [found.tool_name for found in result.content.tool_references]) == (use.id, ["get_weather"])
    assert (call.type, call.name, call.input) == ("tool_use", "get_weather", {"place": "Ulm"})
    assert message.stop_reason == "tool_use"


@pytest.mark.clause("TOOL-12")
def test_a_tool_that_was_not_found_cannot_be_called(serve: Serve) -> None:
    url = serve(FORECAST, search("mail"), FORECAST)
    assert [block["type"] for block in post(url, asked()).json["content"]] == ["text"]
    assert [block["type"] for block in post(url, asked()).json["content"]] == [
        "server_tool_use",
        "tool_search_tool_result",
        "text",
    ]


@pytest.mark.clause("TOOL-12", "IN-12", "CACHE-4", "CNT-2")
def test_the_prompt_only_grows_and_found_tools_stay_callable() -> None:
    engine = RecordingEngine(search(), FORECAST, FORECAST, "Done.")
    with live_server(engine) as url:
        first = post(url, asked()).json
        result = {"type": "tool_result", "tool_use_id": first["content"][-1]["id"], "content": "Rain."}
        talk = [QUESTION, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
        assert post(url, asked(*talk)).json["content"][0]["name"] == "get_weather"
        assert min(common_beginning(one, other) / len(one) for one, other in pairwise(engine.prompts)) > 0.95
        counted = post(url, asked(*talk), "/v1/messages/count_tokens").json["input_tokens"]
        assert counted == len(engine.prompts[-1])
        assert len(engine.prompts[0]) + 20 < len(engine.prompts[1])  # the description came with the result


@pytest.mark.clause("TOOL-12")
@pytest.mark.parametrize(("pattern", "names", "code"), [("moon", [], None), ("(", None, "invalid_tool_input")])
def test_a_search_that_finds_nothing_or_fails_goes_on(serve: Serve, pattern: str, names: Any, code: Any) -> None:
    url = serve(search(pattern), "I cannot.")
    use, result, answer = post(url, asked()).json["content"]
    assert use["input"] == {"pattern": pattern}
    assert result["content"].get("tool_references") == names
    assert result["content"].get("error_code") == code
    assert answer["text"] == "I cannot."


@pytest.mark.clause("TOOL-12")
@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ([REGEX | {"defer_loading": True}, WEATHER], "At least one tool must have defer_loading=false"),
        ([REGEX | {"name": "tool_search_tool_bm25"}, WEATHER], "Input should be 'tool_search_tool_regex'"),
        ([REGEX, REGEX, WEATHER], "Tool names must be unique"),
    ],
)
def test_a_declaration_that_is_not_valid_is_refused(serve: Serve, tools: list[Any], reason: str) -> None:
    refused = post(serve("never"), asked(tools=tools))
    assert refused.status == 400
    assert reason in refused.json["error"]["message"]


def test_the_search_can_be_forced_and_is_in_the_capabilities(serve: Serve) -> None:
    url = serve(search(), FORECAST)
    message = post(url, asked(tool_choice={"type": "tool", "name": REGEX["name"]})).json
    assert [block["type"] for block in message["content"]] == ["server_tool_use", "tool_search_tool_result", "tool_use"]
    assert get(url, "/v1/models").json["data"][0]["capabilities"]["server_tools"]["supported"]
