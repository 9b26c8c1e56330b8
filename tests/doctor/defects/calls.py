"""Tools."""

import json
from collections.abc import Callable
from typing import Any

from doctor.relay import Exchange, Spoiling

from .kit import after, matches, refuses, whole


def _called(change: Callable[[Exchange, dict[str, Any], dict[str, Any]], None]) -> Spoiling:
    """Change whole messages whose first block is a call."""

    def spoil(exchange: Exchange, message: dict[str, Any]) -> None:
        if message["content"] and message["content"][0]["type"] == "tool_use":
            change(exchange, message, message["content"][0])

    spoil.__name__ = change.__name__
    return whole(spoil)


def _choice(exchange: Exchange) -> str:
    choice: dict[str, str] = exchange.body.get("tool_choice") or {}
    return choice.get("type", "")


@after("tool-any")
@_called
def a_call_of_what_nobody_declared(_: Exchange, __: dict[str, Any], call: dict[str, Any]) -> None:
    if call["name"] == "get_weather":
        call["name"] = "getWeather"


@after("tool-no-words", "stream-equals-whole")
@_called
def words_before_a_forced_call(exchange: Exchange, message: dict[str, Any], _: dict[str, Any]) -> None:
    if _choice(exchange) == "any":
        message["content"].insert(0, {"type": "text", "text": "Sure!"})


@after("tool-any", "tool-one", "tool-arguments", "stream-equals-whole")
@_called
def a_forced_call_that_is_none(exchange: Exchange, message: dict[str, Any], _: dict[str, Any]) -> None:
    if _choice(exchange) == "any" and exchange.body["max_tokens"] > 6:
        message |= {"content": [{"type": "text", "text": "I would rather not."}], "stop_reason": "end_turn"}


@after("tool-stop-reason", "stream-equals-whole")
@_called
def a_call_that_ends_the_turn(exchange: Exchange, message: dict[str, Any], _: dict[str, Any]) -> None:
    if _choice(exchange) == "any" and exchange.body["max_tokens"] == 64:
        message["stop_reason"] = "end_turn"


@after("tool-ids")
@_called
def calls_that_share_an_id(_: Exchange, __: dict[str, Any], call: dict[str, Any]) -> None:
    call["id"] = "call_0"


@after("tool-named")
@_called
def another_tool_than_the_named_one(exchange: Exchange, _: dict[str, Any], call: dict[str, Any]) -> None:
    if _choice(exchange) == "tool":
        call["name"] = "get_weather"


@after("tool-one")
@_called
def parallel_calls_where_one_was_asked_for(exchange: Exchange, message: dict[str, Any], call: dict[str, Any]) -> None:
    if (exchange.body.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        message["content"].append({**call, "id": "toolu_other"})


@after("tool-none")
@whole
def a_call_that_was_forbidden(exchange: Exchange, message: dict[str, Any]) -> None:
    if _choice(exchange) == "none":
        message["content"] = [{"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}]


@after("tool-auto")
@_called
def a_call_that_leaks_as_text(exchange: Exchange, message: dict[str, Any], call: dict[str, Any]) -> None:
    if not _choice(exchange):
        leaked = f"<tool_call>{json.dumps({'name': call['name'], 'arguments': call['input']})}</tool_call>"
        message |= {"content": [{"type": "text", "text": leaked}], "stop_reason": "end_turn"}


@after("tool-arguments")
@_called
def a_number_that_is_a_string(_: Exchange, __: dict[str, Any], call: dict[str, Any]) -> None:
    if call["name"] == "order":
        call["input"]["count"] = "2"


@after("tool-cut")
@whole
def a_cut_call_that_is_to_be_run(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 6:
        message["stop_reason"] = "tool_use"


refuses(lambda e: e.is_message and e.holds("Rain, 12 degrees"), "tool-result", name="results are refused", status=500)
refuses(lambda e: e.holds('"is_error"'), "tool-result-shapes", name="failed results are refused")
refuses(lambda e: matches(e, tools=None) and e.holds("tool_result"), "tool-history", name="calls need tools")
refuses(lambda e: e.holds("input_examples"), "tool-fields", name="tools of few fields only")
refuses(lambda e: e.holds("tool_reference"), "tool-deferred", name="references to tools are refused")
