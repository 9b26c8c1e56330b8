"""Streams."""

from typing import Any

from doctor.relay import Exchange

from .kit import after, streamed, whole


@after("sse-type")
def streams_declared_as_json(exchange: Exchange) -> None:
    if exchange.events:
        exchange.answer_headers["content-type"] = "application/json"


@after("sse-names")
@streamed
def events_without_names(_: Exchange, events: list[list[Any]]) -> None:
    for event in events:
        event[0] = ""


@after("sse-nothing-else")
def a_sentinel_at_the_end(exchange: Exchange) -> None:
    if exchange.events:
        exchange.content += b"data: [DONE]\n\n"


@after("sse-tail")
def an_event_that_is_never_ended(exchange: Exchange) -> None:
    if exchange.events:
        exchange.content += b"event: ping\ndata: {"


@after("sse-start")
@streamed
def content_that_is_null_in_the_beginning(_: Exchange, events: list[list[Any]]) -> None:
    events[0][1]["message"]["content"] = None


@after("sse-start-usage")
@streamed
def no_prompt_in_the_beginning(_: Exchange, events: list[list[Any]]) -> None:
    told = events[0][1]["message"]["usage"]
    events[-2][1]["usage"] = {**told, **events[-2][1]["usage"]}
    events[0][1]["message"]["usage"] = {**told, "input_tokens": 0, "cache_read_input_tokens": 0}


@after("sse-blocks")
@streamed
def blocks_that_are_counted_from_one(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if "index" in data:
            data["index"] += 1


@after("sse-block-start")
@streamed
def calls_that_begin_with_an_input(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if data.get("content_block", {}).get("type") == "tool_use":
            data["content_block"]["input"] = {"a": 1}


@after("sse-deltas")
@streamed
def text_deltas_in_calls(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if data.get("delta", {}).get("type") == "input_json_delta":
            data["delta"]["type"] = "text_delta"


@after("sse-end", "first-request")
@streamed
def streams_that_just_close(_: Exchange, events: list[list[Any]]) -> None:
    del events[-1]


@after("sse-end")
@streamed
def two_message_deltas(_: Exchange, events: list[list[Any]]) -> None:
    events.insert(-1, events[-2])


@after("sse-final")
@streamed
def nothing_written_at_the_end(_: Exchange, events: list[list[Any]]) -> None:
    events[-2][1]["usage"]["output_tokens"] = 0


@after("sse-bit-by-bit")
def a_text_that_is_gathered(exchange: Exchange) -> None:
    if exchange.events and exchange.holds("forty in words"):
        exchange.delay = 0.5


@after("sse-arguments")
@streamed
def arguments_with_a_hole(_: Exchange, events: list[list[Any]]) -> None:
    pieces = [event for event in events if event[1].get("delta", {}).get("partial_json")]
    if pieces:
        events.remove(pieces[0])


@after("stream-equals-whole")
@whole
def whole_answers_that_end_otherwise(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.holds("forty in words"):
        message["stop_reason"] = "refusal"
