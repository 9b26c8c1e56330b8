"""Defects of messages, counts, thinking and structured output."""

from collections.abc import Callable
from typing import Any

from doctor.relay import Alteration, Exchange

from .registry import matches, on_request, on_response, refuses, streamed, whole

# ---- messages


@on_response("message-shape")
@whole
def a_message_of_another_type(_: Exchange, message: dict[str, Any]) -> None:
    message["type"] = "chat.completion"


@on_response("usage")
@whole
def cache_counts_that_are_null(_: Exchange, message: dict[str, Any]) -> None:
    message["usage"]["cache_creation_input_tokens"] = None


@on_response("model-echo")
@whole
def an_answer_with_another_model_name(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 8:
        message["model"] = "model.gguf"


@on_response("max-tokens")
@whole
def a_stop_reason_of_another_api(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 8:
        message["stop_reason"] = "length"


refuses(lambda e: matches(e, max_tokens=0), "max-tokens-zero", name="max_tokens 0 is refused")
refuses(lambda e: e.is_message and e.body.get("max_tokens", 0) > 4000, "max-tokens-huge", name="max_tokens are checked")


@on_response("stop-sequence")
@whole
def stop_sequences_are_not_reported(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body.get("stop_sequences"):
        message |= {"stop_reason": "end_turn", "stop_sequence": None}


@on_request("stop-sequence-stream")
def stop_sequences_are_ignored_in_streams(exchange: Exchange) -> None:
    if matches(exchange, stream=True):
        exchange.body.pop("stop_sequences", None)


@on_response("prefill")
@whole
def an_answer_repeats_the_prefill(exchange: Exchange, message: dict[str, Any]) -> None:
    last = exchange.body["messages"][-1]
    if last["role"] == "assistant":
        message["content"][0]["text"] = last["content"] + message["content"][0]["text"]


# ---- counts


def _count(change: Callable[[Exchange, int], int]) -> Alteration:
    def alter(exchange: Exchange) -> None:
        if exchange.is_count and exchange.status == 200:
            exchange.answer = {**exchange.answer, "input_tokens": change(exchange, exchange.answer["input_tokens"])}

    alter.__name__ = change.__name__
    return alter


@on_response("count", "image-count")
@_count
def estimated_counts(exchange: Exchange, count: int) -> int:
    return count if exchange.body.get("tools") else count * 3 // 4


@on_request("count-tools")
def tools_are_not_counted(exchange: Exchange) -> None:
    if exchange.is_count:
        exchange.body.pop("tools", None)


refuses(lambda e: e.is_count and "stream" in e.body, "count-whole-body", name="counts of few fields only")


@on_response("string-or-block", "image-count")
@_count
def a_newline_after_each_block(exchange: Exchange, count: int) -> int:
    return count + isinstance(exchange.body["messages"][0]["content"], list)


@on_response("pdf-text")
@_count
def a_note_in_the_place_of_each_pdf(exchange: Exchange, count: int) -> int:
    return 30 if exchange.holds("application/pdf") else count


@on_request("image-count")
def images_are_not_counted(exchange: Exchange) -> None:
    if exchange.is_count and exchange.holds('"image"'):
        exchange.body["messages"] = [{"role": "user", "content": "What is it?"}]


@on_response("cache-marks")
@_count
def cache_marks_are_counted(exchange: Exchange, count: int) -> int:
    return count + exchange.holds("cache_control")


# ---- thinking and form

refuses(lambda e: e.is_message and e.holds('"omitted"'), "thinking-accepted", name="thinking is always shown")
refuses(lambda e: e.holds('"xhigh"'), "effort", name="three levels of effort")
refuses(lambda e: e.is_message and e.holds('"signature": "dgm'), "thinking-replay", name="its own thinking is refused")
refuses(lambda e: e.holds("redacted_thinking"), "thinking-foreign", name="foreign thinking is refused")


def _thinking(change: Callable[[list[list[Any]]], None]) -> Alteration:
    def alter(exchange: Exchange, events: list[list[Any]]) -> None:
        if any(data.get("content_block", {}).get("type") == "thinking" for _, data in events):
            change(events)

    alter.__name__ = change.__name__
    return streamed(alter)


@on_response("thinking-no-leak")
@_thinking
def the_end_of_reasoning_leaks(events: list[list[Any]]) -> None:
    first = next(data for _, data in events if data.get("delta", {}).get("type") == "text_delta")
    first["delta"]["text"] = "</think>" + first["delta"]["text"]


@on_response("thinking-first")
@_thinking
def a_text_before_the_thinking(events: list[list[Any]]) -> None:
    for _, data in events:
        if "index" in data:
            data["index"] += 1
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    events[1:1] = [["content_block_start", block], ["content_block_stop", {"type": "content_block_stop", "index": 0}]]


@on_response("thinking-signed")
@_thinking
def thinking_without_a_signature(events: list[list[Any]]) -> None:
    events[:] = [event for event in events if event[1].get("delta", {}).get("type") != "signature_delta"]


@on_response("thinking-disabled")
@whole
def thinking_cannot_be_disabled(exchange: Exchange, message: dict[str, Any]) -> None:
    if matches(exchange, thinking={"type": "disabled"}):
        message["content"].insert(0, {"type": "thinking", "thinking": "Hm.", "signature": "x"})


@on_response("form")
@whole
def text_around_the_json(_: Exchange, message: dict[str, Any]) -> None:
    for block in message["content"]:
        if '"even"' in block.get("text", ""):
            block["text"] = f"Here you are: {block['text']}"


@on_response("form-nested")
@whole
def a_schema_is_enforced_in_part(_: Exchange, message: dict[str, Any]) -> None:
    for block in message["content"]:
        if "text" in block:
            block["text"] = block["text"].replace('"oak"', '"elm"')
