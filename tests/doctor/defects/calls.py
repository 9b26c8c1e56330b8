"""Defects of tool calls."""

import json
from collections.abc import Callable
from typing import Any

from doctor.relay import Alteration, Exchange

from .registry import matches, on_request, on_response, refuses, whole


def _called(change: Callable[[Exchange, dict[str, Any], dict[str, Any]], None]) -> Alteration:
    """Change whole messages whose first block is a call."""

    def alter(exchange: Exchange, message: dict[str, Any]) -> None:
        if message["content"] and message["content"][0]["type"] == "tool_use":
            change(exchange, message, message["content"][0])

    alter.__name__ = change.__name__
    return whole(alter)


def _choice(exchange: Exchange) -> str:
    choice: dict[str, str] = exchange.body.get("tool_choice") or {}
    return choice.get("type", "")


@on_response("tool-any", "tool-changes")
@_called
def a_call_of_an_undeclared_tool(_: Exchange, __: dict[str, Any], call: dict[str, Any]) -> None:
    if call["name"] == "get_weather":
        call["name"] = "getWeather"


@on_response("tool-no-words", "stream-equals-whole")
@_called
def text_before_a_forced_call(exchange: Exchange, message: dict[str, Any], _: dict[str, Any]) -> None:
    if _choice(exchange) == "any":
        message["content"].insert(0, {"type": "text", "text": "Sure!"})


@on_response("tool-any", "tool-one", "tool-arguments", "stream-equals-whole")
@_called
def text_instead_of_a_forced_call(exchange: Exchange, message: dict[str, Any], _: dict[str, Any]) -> None:
    if _choice(exchange) == "any" and exchange.body["max_tokens"] > 6:
        message |= {"content": [{"type": "text", "text": "I would rather not."}], "stop_reason": "end_turn"}


@on_response("tool-stop-reason", "stream-equals-whole")
@_called
def a_call_with_end_turn(exchange: Exchange, message: dict[str, Any], _: dict[str, Any]) -> None:
    if _choice(exchange) == "any" and exchange.body["max_tokens"] == 64:
        message["stop_reason"] = "end_turn"


@on_response("tool-ids")
@_called
def calls_with_the_same_id(_: Exchange, __: dict[str, Any], call: dict[str, Any]) -> None:
    call["id"] = "call_0"


@on_response("tool-named")
@_called
def a_call_of_another_tool_than_the_named_one(exchange: Exchange, _: dict[str, Any], call: dict[str, Any]) -> None:
    if _choice(exchange) == "tool":
        call["name"] = "get_weather"


@on_response("tool-one")
@_called
def parallel_calls_despite_disable_parallel_tool_use(exchange: Exchange, message: dict[str, Any], call: dict[str, Any]) -> None:
    if (exchange.body.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        message["content"].append({**call, "id": "toolu_other"})


@on_response("tool-none")
@whole
def a_forbidden_call(exchange: Exchange, message: dict[str, Any]) -> None:
    if _choice(exchange) == "none":
        message["content"] = [{"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}]


@on_response("tool-auto")
@_called
def a_call_leaks_as_text(exchange: Exchange, message: dict[str, Any], call: dict[str, Any]) -> None:
    if not _choice(exchange):
        leaked = f"<tool_call>{json.dumps({'name': call['name'], 'arguments': call['input']})}</tool_call>"
        message |= {"content": [{"type": "text", "text": leaked}], "stop_reason": "end_turn"}


@on_response("tool-arguments")
@_called
def a_number_as_a_string(_: Exchange, __: dict[str, Any], call: dict[str, Any]) -> None:
    if call["name"] == "order":
        call["input"]["count"] = "2"


@on_response("tool-cut")
@whole
def a_cut_call_with_stop_reason_tool_use(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 6:
        message["stop_reason"] = "tool_use"


refuses(lambda e: e.is_message and e.holds("Rain, 12 degrees"), "tool-result", name="results are refused", status=500)
refuses(lambda e: e.holds('"is_error"'), "tool-result-shapes", name="failed results are refused")
refuses(lambda e: matches(e, tools=None) and e.holds("tool_result"), "tool-history", name="calls need tools")
refuses(lambda e: e.holds("input_examples"), "tool-fields", name="tools of few fields only")
refuses(lambda e: e.holds("tool_reference"), "tool-deferred", "tool-changes", name="references to tools are refused")


refuses(lambda e: e.holds("tool_addition"), "tool-changes", name="added tools are refused")


@on_response("context-edits")
def a_count_without_what_was_before_the_edits(exchange: Exchange) -> None:
    if exchange.holds("clear_tool_uses_20250919") and exchange.answer is not None:
        exchange.answer = {"input_tokens": exchange.answer["input_tokens"]}


@on_response("citations")
@whole
def a_citation_of_something_else(_: Exchange, message: dict[str, Any]) -> None:
    for block in message["content"]:
        for citation in block.get("citations") or []:
            citation["cited_text"] = "A ticket is free."


@on_response("tool-web-search")
@whole
def a_search_without_its_result(_: Exchange, message: dict[str, Any]) -> None:
    message["content"] = [block for block in message["content"] if block["type"] != "web_search_tool_result"]


@on_response("tool-web-fetch")
@whole
def a_fetch_without_its_result(_: Exchange, message: dict[str, Any]) -> None:
    message["content"] = [block for block in message["content"] if block["type"] != "web_fetch_tool_result"]


@on_request("tool-mcp")
def servers_are_not_called(exchange: Exchange) -> None:
    if exchange.is_message and "mcp_servers" in exchange.body:
        for name in ("mcp_servers", "tools", "tool_choice"):
            del exchange.body[name]


@on_response("tool-mcp")
@whole
def a_call_of_a_server_without_its_result(_: Exchange, message: dict[str, Any]) -> None:
    message["content"] = [block for block in message["content"] if block["type"] != "mcp_tool_result"]


@on_response("tool-tool-search")
@whole
def a_tool_search_without_its_result(_: Exchange, message: dict[str, Any]) -> None:
    message["content"] = [block for block in message["content"] if block["type"] != "tool_search_tool_result"]
