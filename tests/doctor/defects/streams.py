"""Defects of streams."""

from typing import Any

from doctor.relay import Exchange

from .registry import on_response, streamed, whole


@on_response("sse-type")
def streams_declared_as_json(exchange: Exchange) -> None:
    if exchange.events:
        exchange.answer_headers["content-type"] = "application/json"


@on_response("sse-names")
@streamed
def events_without_names(_: Exchange, events: list[list[Any]]) -> None:
    for event in events:
        event[0] = ""


@on_response("sse-nothing-else")
def a_sentinel_at_the_end(exchange: Exchange) -> None:
    if exchange.events:
        exchange.content += b"data: [DONE]\n\n"


@on_response("sse-tail")
def an_unterminated_event(exchange: Exchange) -> None:
    if exchange.events:
        exchange.content += b"event: ping\ndata: {"


@on_response("sse-start")
@streamed
def null_content_in_message_start(_: Exchange, events: list[list[Any]]) -> None:
    events[0][1]["message"]["content"] = None


@on_response("sse-start-usage")
@streamed
def no_input_tokens_in_message_start(_: Exchange, events: list[list[Any]]) -> None:
    usage = events[0][1]["message"]["usage"]
    events[-2][1]["usage"] = {**usage, **events[-2][1]["usage"]}
    events[0][1]["message"]["usage"] = {**usage, "input_tokens": 0, "cache_read_input_tokens": 0}


@on_response("sse-blocks")
@streamed
def blocks_numbered_from_one(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if "index" in data:
            data["index"] += 1


@on_response("sse-block-start")
@streamed
def calls_start_with_an_input(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if data.get("content_block", {}).get("type") == "tool_use":
            data["content_block"]["input"] = {"a": 1}


@on_response("sse-deltas")
@streamed
def text_deltas_in_calls(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if data.get("delta", {}).get("type") == "input_json_delta":
            data["delta"]["type"] = "text_delta"


@on_response("sse-end", "first-request")
@streamed
def streams_without_message_stop(_: Exchange, events: list[list[Any]]) -> None:
    del events[-1]


@on_response("sse-end")
@streamed
def two_message_deltas(_: Exchange, events: list[list[Any]]) -> None:
    events.insert(-1, events[-2])


@on_response("sse-final")
@streamed
def no_output_tokens_at_the_end(_: Exchange, events: list[list[Any]]) -> None:
    events[-2][1]["usage"]["output_tokens"] = 0


@on_response("sse-bit-by-bit")
def a_buffered_text(exchange: Exchange) -> None:
    if exchange.events and exchange.holds("forty in words"):
        exchange.delay = 0.5


@on_response("sse-arguments")
@streamed
def a_delta_of_the_arguments_is_missing(_: Exchange, events: list[list[Any]]) -> None:
    deltas = [event for event in events if event[1].get("delta", {}).get("partial_json")]
    if deltas:
        events.remove(deltas[0])


@on_response("stream-equals-whole")
@whole
def another_stop_reason_without_streaming(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.holds("forty in words"):
        message["stop_reason"] = "refusal"
