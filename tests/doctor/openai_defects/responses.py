"""Defects of responses."""

from typing import Any

from doctor.relay import Exchange
from dragoman.doctor import RESPONSES_API

from .registry import Object, asks, events, is_generation, on_request, on_response, refuses, whole

RESPONSES = [RESPONSES_API]
STORED = RESPONSES_API.path + "/resp_"

# ---- whole answers


@whole("response-shape", apis=RESPONSES)
def a_time_that_is_text(_: Exchange, answer: Object) -> None:
    answer["created_at"] = "now"


@whole("response-echo", apis=RESPONSES)
def fields_are_not_repeated(_: Exchange, answer: Object) -> None:
    del answer["tool_choice"]


@whole("response-items", apis=RESPONSES)
def messages_without_a_status(_: Exchange, answer: Object) -> None:
    for item in answer["output"]:
        item.pop("status", None)


@whole("usage", apis=RESPONSES)
def a_total_that_is_not_the_sum(_: Exchange, answer: Object) -> None:
    answer["usage"]["total_tokens"] += 1


@on_request("string-or-item", apis=RESPONSES)
def a_text_gets_a_space(exchange: Exchange) -> None:
    if is_generation(exchange) and isinstance(exchange.body.get("input"), str):
        exchange.body["input"] += " ."


@on_request("instructions", apis=RESPONSES)
def instructions_are_ignored(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("instructions", None)


@on_response("input-tokens", apis=RESPONSES)
def estimated_counts(exchange: Exchange) -> None:
    if exchange.path.endswith("/input_tokens") and exchange.status == 200:
        exchange.answer = {**exchange.answer, "input_tokens": 3}


@on_request("hosted-tools", apis=RESPONSES)
def hosted_tools_are_dropped(exchange: Exchange) -> None:
    if is_generation(exchange) and exchange.holds("file_search"):
        del exchange.body["tools"]


@whole("custom-tool", apis=RESPONSES)
def the_input_of_a_custom_tool_as_json(_: Exchange, answer: Object) -> None:
    for item in answer["output"]:
        if item["type"] == "custom_tool_call":
            item["input"] = '{"input": "yes"}'


# ---- events


@events("sse-bit-by-bit")
def the_text_in_one_event(found: list[list[Any]]) -> None:
    deltas = [event for event in found if event[0] == "response.output_text.delta"]
    if deltas:
        deltas[0][1]["delta"] = "".join(event[1]["delta"] for event in deltas)
        few = ("created", "in_progress", "added", "done", "completed", "incomplete")
        found[:] = [event for event in found if event is deltas[0] or event[0].endswith(few)]
        found[:] = [event for event in found if "content_part" not in event[0]]
        _number(found)


@events("sse-arguments", "sse-whole-texts")
def arguments_that_lack_their_end(found: list[list[Any]]) -> None:
    for _, data in found:
        for item in [data.get("item", {}), *data.get("response", {}).get("output", ())]:
            if item.get("type") == "function_call":
                item["arguments"] = item["arguments"][:-1]
        if data["type"] == "response.function_call_arguments.done":
            data["arguments"] = data["arguments"][:-1]


@events("stream-equals-whole", "sse-end")
def a_last_event_without_output(found: list[list[Any]]) -> None:
    found[-1][1]["response"]["output"] = []


@events("sse-names")
def events_without_a_name(found: list[list[Any]]) -> None:
    for event in found:
        event[0] = ""


@events("sse-numbers")
def numbers_from_one(found: list[list[Any]]) -> None:
    for _, data in found:
        data["sequence_number"] += 1


@events("sse-start")
def a_stream_that_begins_in_progress(found: list[list[Any]]) -> None:
    del found[0]
    _number(found)


@events("sse-items")
def items_that_are_never_done(found: list[list[Any]]) -> None:
    done = [event for event in found if event[0] == "response.output_item.done"]
    found[-1][1]["response"]["output"] = [event[1]["item"] for event in done]
    for event in done:
        event[0] = event[1]["type"] = "response.output_item.finished"


@events("sse-whole-texts")
def a_whole_text_that_is_shorter(found: list[list[Any]]) -> None:
    for _, data in found:
        if data["type"] == "response.output_text.done":
            data["text"] = data["text"][:-1]


@events("sse-end")
def a_last_event_without_usage(found: list[list[Any]]) -> None:
    found[-1][1]["response"]["usage"] = None


def _number(found: list[list[Any]]) -> None:
    for number, event in enumerate(found):
        event[1]["sequence_number"] = number


# ---- tools


@whole("tool-ids", apis=RESPONSES)
def one_id_for_all_calls(_: Exchange, answer: Object) -> None:
    for item in answer["output"]:
        if item["type"] == "function_call":
            item["call_id"] = "call_0"


@whole("tool-one", apis=RESPONSES)
def two_calls_where_one_is_allowed(exchange: Exchange, answer: Object) -> None:
    if exchange.body.get("parallel_tool_calls") is False:
        answer["output"] *= 2


@whole("tool-arguments", apis=RESPONSES)
def arguments_with_a_wrong_value(exchange: Exchange, answer: Object) -> None:
    if exchange.holds("Use order."):
        answer["output"][-1]["arguments"] = '{"count": 9}'


@whole("tool-auto", apis=RESPONSES)
def calls_as_text(exchange: Exchange, answer: Object) -> None:
    if "tool_choice" not in exchange.body and answer["output"] and answer["output"][-1]["type"] == "function_call":
        part = {"type": "output_text", "text": "<tool_call>\n{}\n</tool_call>", "annotations": []}
        answer["output"] = [{"type": "message", "id": "msg_0", "role": "assistant", "status": "completed", "content": [part]}]


# ---- stored responses


@on_response("retrieve", apis=RESPONSES)
def a_stored_response_without_its_output(exchange: Exchange) -> None:
    if (
        exchange.method == "GET"
        and exchange.path.startswith(STORED)
        and exchange.status == 200
        and "input" not in exchange.path
    ):
        exchange.answer = {**exchange.answer, "output": []}


@on_response("input-items", apis=RESPONSES)
def no_input_items(exchange: Exchange) -> None:
    if exchange.path.endswith("/input_items"):
        exchange.answer = {**exchange.answer, "data": []}


@on_request("continued", apis=RESPONSES)
def the_previous_response_is_ignored(exchange: Exchange) -> None:
    if is_generation(exchange) and exchange.holds("Go on.") and len(exchange.body["input"]) == 1:
        exchange.body.pop("previous_response_id", None)


@on_request("unknown-previous", apis=RESPONSES)
def an_unknown_previous_response_is_ignored(exchange: Exchange) -> None:
    if asks(exchange, previous_response_id="resp_0123456789abcdef"):
        del exchange.body["previous_response_id"]


@on_request("not-stored", apis=RESPONSES)
def everything_is_stored(exchange: Exchange) -> None:
    if is_generation(exchange):
        exchange.body.pop("store", None)


refuses(lambda e: e.method == "DELETE", "delete", name="nothing can be deleted", apis=RESPONSES, status=405)
