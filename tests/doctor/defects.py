"""What can be wrong with a server, a function each, and which checks notice: the proof that every check can fail."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .relay import Exchange, Spoiling


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong; `notices` are the checks that fail of it, and no others do."""

    name: str
    notices: frozenset[str]
    before: Spoiling | None
    after: Spoiling | None


DEFECTS: list[Defect] = []


def _name(function: Spoiling) -> str:
    return function.__name__.replace("_", " ")


def before(*notices: str) -> Callable[[Spoiling], Spoiling]:
    """A defect in what the server takes."""

    def register(function: Spoiling) -> Spoiling:
        DEFECTS.append(Defect(_name(function), frozenset(notices), function, None))
        return function

    return register


def after(*notices: str) -> Callable[[Spoiling], Spoiling]:
    """A defect in what it gives."""

    def register(function: Spoiling) -> Spoiling:
        DEFECTS.append(Defect(_name(function), frozenset(notices), None, function))
        return function

    return register


def refuses(when: Callable[[Exchange], Any], *notices: str, name: str, status: int = 400) -> None:
    """A defect that is no more than a refusal."""

    def refuse(exchange: Exchange) -> None:
        if when(exchange):
            exchange.refuse(status)

    DEFECTS.append(Defect(name, frozenset(notices), refuse, None))


def _message(change: Callable[[Exchange, dict[str, Any]], None]) -> Spoiling:
    """Change whole messages that were answered well."""

    def spoil(exchange: Exchange) -> None:
        answer = exchange.answer if exchange.is_message and exchange.status == 200 else None
        if answer is not None:
            change(exchange, answer)
            exchange.answer = answer

    spoil.__name__ = change.__name__
    return spoil


def _stream(change: Callable[[Exchange, list[list[Any]]], None]) -> Spoiling:
    """Change streams."""

    def spoil(exchange: Exchange) -> None:
        events = exchange.events
        if events:
            change(exchange, events)
            exchange.events = events

    spoil.__name__ = change.__name__
    return spoil


def _is(exchange: Exchange, **fields: Any) -> bool:
    return exchange.is_message and all(exchange.body.get(name) == value for name, value in fields.items())


# ---- transport


@after("request-id")
def answers_without_a_request_id(exchange: Exchange) -> None:
    if exchange.is_message and exchange.status == 200:
        del exchange.answer_headers["request-id"]


@after("json-type")
def json_that_is_declared_as_text(exchange: Exchange) -> None:
    if exchange.is_message and exchange.status == 200 and exchange.answer is not None:
        exchange.answer_headers["content-type"] = "text/plain"


@before("no-redirect")
def a_redirect_for_a_trailing_slash(exchange: Exchange) -> None:
    if exchange.path.endswith("/") and exchange.path != "/":
        exchange.refuse(307)


refuses(lambda e: e.path.startswith("/anthropic"), "prefix", name="one prefix only", status=404)
refuses(lambda e: "beta=true" in e.query, "query", name="a route with a query is another", status=404)
refuses(lambda e: e.method == "HEAD", "probes", name="no HEAD", status=501)
refuses(lambda e: e.headers.get("anthropic-version") == "2026-10-21", "versions", name="the old version only")
refuses(lambda e: "authorization" in e.headers, "key-headers", name="keys in one header only", status=401)
refuses(lambda e: e.headers.get("x-api-key") == "certainly-wrong", "wrong-key", name="a wrong key is forbidden", status=403)
refuses(lambda e: "brand-new" in e.headers.get("anthropic-beta", ""), "unknown-beta", name="known betas only")
refuses(lambda e: e.holds("brand_new_field"), "unknown-field", name="known fields only", status=422)
refuses(
    lambda e: e.is_message and e.in_flight > 1 and e.body["max_tokens"] == 1 and not e.body.get("tools"),
    "several-at-once",
    name="one at a time",
    status=529,
)
refuses(lambda e: e.is_count and e.in_flight > 4, "burst-of-counts", name="few counts at a time", status=429)


# ---- models


def _models(change: Callable[[dict[str, Any]], None]) -> Spoiling:
    def spoil(exchange: Exchange) -> None:
        if exchange.path == "/v1/models" and exchange.status == 200:
            page = exchange.answer
            if page["data"]:
                change(page)
            exchange.answer = page

    spoil.__name__ = change.__name__
    return spoil


@after("models-list")
@_models
def a_page_that_does_not_say_whether_there_is_more(page: dict[str, Any]) -> None:
    del page["has_more"]


@before("models-paging")
def pages_that_go_in_circles(exchange: Exchange) -> None:
    if exchange.path == "/v1/models":
        exchange.query = ""


@after("models-item")
@_models
def a_model_without_a_lifecycle(page: dict[str, Any]) -> None:
    del page["data"][0]["lifecycle"]


@after("models-window")
@_models
def a_window_that_is_not_told(page: dict[str, Any]) -> None:
    page["data"][0]["max_input_tokens"] = None


@after("models-capabilities")
@_models
def capabilities_in_part(page: dict[str, Any]) -> None:
    del page["data"][0]["capabilities"]["thinking"]


refuses(lambda e: e.path == "/v1/models/scripted", "models-one", name="no such route for one model", status=404)


@before("models-unknown")
def any_model_is_known_in_the_list(exchange: Exchange) -> None:
    if exchange.path.startswith("/v1/models/no"):
        exchange.path = "/v1/models"


def _claude(exchange: Exchange) -> bool:
    return exchange.is_message and exchange.body.get("model", "").startswith("claude-")


refuses(_claude, "claude-names", name="no claude names", status=404)


# ---- errors


def _error(change: Callable[[Exchange, dict[str, Any]], None]) -> Spoiling:
    def spoil(exchange: Exchange) -> None:
        if exchange.status >= 400:
            envelope = exchange.answer
            change(exchange, envelope)
            exchange.answer = envelope

    spoil.__name__ = change.__name__
    return spoil


@after("error-shape")
@_error
def errors_in_another_shape(_: Exchange, envelope: dict[str, Any]) -> None:
    del envelope["type"]


@after("error-request-id")
@_error
def errors_that_do_not_name_their_request(_: Exchange, envelope: dict[str, Any]) -> None:
    del envelope["request_id"]


@after("bad-json")
def broken_bodies_are_422(exchange: Exchange) -> None:
    if isinstance(exchange.body, bytes) and exchange.method == "POST":
        exchange.status = 422


@after("missing-field")
@_error
def a_missing_field_in_other_words(_: Exchange, envelope: dict[str, Any]) -> None:
    error = envelope["error"]
    error["message"] = error["message"].replace("max_tokens: Field required", "1 validation error for MessagesRequest")


@after("unknown-route")
@_error
def an_unknown_path_is_an_invalid_request(exchange: Exchange, envelope: dict[str, Any]) -> None:
    if exchange.path == "/v1/nowhere":
        envelope["error"]["type"] = "invalid_request_error"


@before("unknown-model")
def any_model_is_known(exchange: Exchange) -> None:
    if _is(exchange, model="no-such-model"):
        exchange.body["model"] = "claude-any"


@after("early-status")
def refusals_inside_a_stream(exchange: Exchange) -> None:
    if exchange.is_message and exchange.body.get("stream") and exchange.status == 400:
        exchange.status = 200


@after("overflow")
@_error
def an_overflow_in_other_words(_: Exchange, envelope: dict[str, Any]) -> None:
    if "too long" in envelope["error"]["message"]:
        envelope["error"]["message"] = "the request exceeds the available context size"


@before("thread")
def threads_are_ignored(exchange: Exchange) -> None:
    if exchange.is_message:
        exchange.body.pop("thread", None)


# ---- messages


@after("message-shape")
@_message
def a_message_that_is_of_another_type(_: Exchange, message: dict[str, Any]) -> None:
    message["type"] = "chat.completion"


@after("usage")
@_message
def cache_counts_that_are_null(_: Exchange, message: dict[str, Any]) -> None:
    message["usage"]["cache_creation_input_tokens"] = None


@after("model-echo")
@_message
def a_model_that_calls_itself_otherwise(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 8:
        message["model"] = "model.gguf"


@after("max-tokens")
@_message
def a_stop_reason_of_another_api(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 8:
        message["stop_reason"] = "length"


refuses(lambda e: _is(e, max_tokens=0), "max-tokens-zero", name="max_tokens 0 is refused")
refuses(lambda e: e.is_message and e.body.get("max_tokens", 0) > 4000, "max-tokens-huge", name="max_tokens are checked")


@after("stop-sequence")
@_message
def stop_sequences_are_not_reported(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body.get("stop_sequences"):
        message |= {"stop_reason": "end_turn", "stop_sequence": None}


@before("stop-sequence-stream")
def stop_sequences_are_ignored_in_streams(exchange: Exchange) -> None:
    if _is(exchange, stream=True):
        exchange.body.pop("stop_sequences", None)


@after("prefill")
@_message
def an_answer_that_repeats_the_prefill(exchange: Exchange, message: dict[str, Any]) -> None:
    last = exchange.body["messages"][-1]
    if last["role"] == "assistant":
        message["content"][0]["text"] = last["content"] + message["content"][0]["text"]


# ---- streams


@after("sse-type")
def streams_declared_as_json(exchange: Exchange) -> None:
    if exchange.events:
        exchange.answer_headers["content-type"] = "application/json"


@after("sse-names")
@_stream
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
@_stream
def content_that_is_null_in_the_beginning(_: Exchange, events: list[list[Any]]) -> None:
    events[0][1]["message"]["content"] = None


@after("sse-start-usage")
@_stream
def no_prompt_in_the_beginning(_: Exchange, events: list[list[Any]]) -> None:
    told = events[0][1]["message"]["usage"]
    events[-2][1]["usage"] = {**told, **events[-2][1]["usage"]}
    events[0][1]["message"]["usage"] = {**told, "input_tokens": 0, "cache_read_input_tokens": 0}


@after("sse-blocks")
@_stream
def blocks_that_are_counted_from_one(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if "index" in data:
            data["index"] += 1


@after("sse-block-start")
@_stream
def calls_that_begin_with_an_input(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if data.get("content_block", {}).get("type") == "tool_use":
            data["content_block"]["input"] = {"a": 1}


@after("sse-deltas")
@_stream
def text_deltas_in_calls(_: Exchange, events: list[list[Any]]) -> None:
    for _name, data in events:
        if data.get("delta", {}).get("type") == "input_json_delta":
            data["delta"]["type"] = "text_delta"


@after("sse-end", "first-request")
@_stream
def streams_that_just_close(_: Exchange, events: list[list[Any]]) -> None:
    del events[-1]


@after("sse-end")
@_stream
def two_message_deltas(_: Exchange, events: list[list[Any]]) -> None:
    events.insert(-1, events[-2])


@after("sse-final")
@_stream
def nothing_written_at_the_end(_: Exchange, events: list[list[Any]]) -> None:
    events[-2][1]["usage"]["output_tokens"] = 0


@after("sse-bit-by-bit")
def a_text_that_is_gathered(exchange: Exchange) -> None:
    if exchange.events and exchange.holds("forty in words"):
        exchange.delay = 0.5


@after("sse-arguments")
@_stream
def arguments_with_a_hole(_: Exchange, events: list[list[Any]]) -> None:
    pieces = [event for event in events if event[1].get("delta", {}).get("partial_json")]
    if pieces:
        events.remove(pieces[0])


@after("stream-equals-whole")
@_message
def whole_answers_that_end_otherwise(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.holds("forty in words"):
        message["stop_reason"] = "refusal"


# ---- counts


def _count(change: Callable[[Exchange, int], int]) -> Spoiling:
    def spoil(exchange: Exchange) -> None:
        if exchange.is_count and exchange.status == 200:
            exchange.answer = {"input_tokens": change(exchange, exchange.answer["input_tokens"])}

    spoil.__name__ = change.__name__
    return spoil


@after("count")
@_count
def counts_that_are_estimates(exchange: Exchange, count: int) -> int:
    return count if exchange.body.get("tools") else count * 3 // 4


@before("count-tools")
def tools_that_are_not_counted(exchange: Exchange) -> None:
    if exchange.is_count:
        exchange.body.pop("tools", None)


refuses(lambda e: e.is_count and "stream" in e.body, "count-whole-body", name="counts of few fields only")


@after("string-or-block")
@_count
def a_block_has_a_newline_behind_it(exchange: Exchange, count: int) -> int:
    return count + isinstance(exchange.body["messages"][0]["content"], list)


@after("cache-marks")
@_count
def a_mark_is_seen_in_the_prompt(exchange: Exchange, count: int) -> int:
    return count + exchange.holds("cache_control")


# ---- tools


def _called(change: Callable[[Exchange, dict[str, Any], dict[str, Any]], None]) -> Spoiling:
    """Change whole messages whose first block is a call."""

    def spoil(exchange: Exchange, message: dict[str, Any]) -> None:
        if message["content"] and message["content"][0]["type"] == "tool_use":
            change(exchange, message, message["content"][0])

    spoil.__name__ = change.__name__
    return _message(spoil)


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
@_message
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
@_message
def a_cut_call_that_is_to_be_run(exchange: Exchange, message: dict[str, Any]) -> None:
    if exchange.body["max_tokens"] == 6:
        message["stop_reason"] = "tool_use"


refuses(lambda e: e.is_message and e.holds("Rain, 12 degrees"), "tool-result", name="results are refused", status=500)
refuses(lambda e: e.holds('"is_error"'), "tool-result-shapes", name="failed results are refused")
refuses(lambda e: _is(e, tools=None) and e.holds("tool_result"), "tool-history", name="calls need tools")
refuses(lambda e: e.holds("input_examples"), "tool-fields", name="tools of few fields only")
refuses(lambda e: e.holds("tool_reference"), "tool-deferred", name="references to tools are refused")


# ---- thinking and form

refuses(lambda e: e.is_message and e.holds('"omitted"'), "thinking-accepted", name="thinking is always shown")
refuses(lambda e: e.holds('"xhigh"'), "effort", name="three levels of effort")
refuses(lambda e: e.is_message and e.holds('"signature": "dgm'), "thinking-replay", name="its own thinking is refused")
refuses(lambda e: e.holds("redacted_thinking"), "thinking-foreign", name="foreign thinking is refused")


def _thinking(change: Callable[[list[list[Any]]], None]) -> Spoiling:
    def spoil(exchange: Exchange, events: list[list[Any]]) -> None:
        if any(data.get("content_block", {}).get("type") == "thinking" for _, data in events):
            change(events)

    spoil.__name__ = change.__name__
    return _stream(spoil)


@after("thinking-no-leak")
@_thinking
def the_end_of_reasoning_leaks(events: list[list[Any]]) -> None:
    first = next(data for _, data in events if data.get("delta", {}).get("type") == "text_delta")
    first["delta"]["text"] = "</think>" + first["delta"]["text"]


@after("thinking-first")
@_thinking
def a_text_before_the_thinking(events: list[list[Any]]) -> None:
    for _, data in events:
        if "index" in data:
            data["index"] += 1
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    events[1:1] = [["content_block_start", block], ["content_block_stop", {"type": "content_block_stop", "index": 0}]]


@after("thinking-signed")
@_thinking
def thinking_without_a_signature(events: list[list[Any]]) -> None:
    events[:] = [event for event in events if event[1].get("delta", {}).get("type") != "signature_delta"]


@after("thinking-disabled")
@_message
def thinking_that_cannot_be_switched_off(exchange: Exchange, message: dict[str, Any]) -> None:
    if _is(exchange, thinking={"type": "disabled"}):
        message["content"].insert(0, {"type": "thinking", "thinking": "Hm.", "signature": "x"})


@after("form")
@_message
def words_around_the_json(_: Exchange, message: dict[str, Any]) -> None:
    for block in message["content"]:
        if '"even"' in block.get("text", ""):
            block["text"] = f"Here you are: {block['text']}"


@after("form-nested")
@_message
def a_schema_that_is_held_in_part(_: Exchange, message: dict[str, Any]) -> None:
    for block in message["content"]:
        if "text" in block:
            block["text"] = block["text"].replace('"oak"', '"elm"')


# ---- inputs

refuses(lambda e: e.holds('"image"'), "image", name="pictures are refused in other words")
refuses(lambda e: e.holds('"document"'), "document", name="documents are refused in other words")
refuses(lambda e: _is(e, system="You help.") and e.holds('"role": "system"'), "system-message", name="two roles only")


@before("unknown-block")
def unknown_blocks_are_dropped(exchange: Exchange) -> None:
    if exchange.is_message and exchange.holds("hologram"):
        del exchange.body["messages"][0]["content"][0]


# ---- agent

refuses(lambda e: _is(e, stream=True) and e.holds("context_management"), "first-request", name="no context_management")


def _agents(change: Callable[[dict[str, Any]], None]) -> Spoiling:
    """Change the requests of the agent's session."""

    def spoil(exchange: Exchange) -> None:
        if exchange.is_message and "context_management" in exchange.body:
            change(exchange.body)

    spoil.__name__ = change.__name__
    return spoil


@before("billing-line")
@_agents
def the_billing_line_is_rendered(body: dict[str, Any]) -> None:
    body["system"][0]["text"] = body["system"][0]["text"].removeprefix("x-anthropic-billing-header: ")


@before("system-in-place")
@_agents
def late_system_messages_are_hoisted(body: dict[str, Any]) -> None:
    late = [message for message in body["messages"] if message["role"] == "system"]
    body["messages"] = [message for message in body["messages"] if message["role"] != "system"]
    texts = [message["content"] if isinstance(message["content"], str) else message["content"][0]["text"] for message in late]
    body["system"] += [{"type": "text", "text": text} for text in texts]


@before("next-turn")
@_agents
def a_mark_changes_a_byte(body: dict[str, Any]) -> None:
    last = body["messages"][1]
    if isinstance(last["content"], list):
        body["system"][1]["text"] = "Marked. " + body["system"][1]["text"]


@after("cache-in-stream")
@_stream
def streams_that_do_not_tell_of_the_cache(_: Exchange, events: list[list[Any]]) -> None:
    for usage in (events[0][1]["message"]["usage"], events[-2][1]["usage"]):
        cached = usage.pop("cache_read_input_tokens", 0) or 0
        if "input_tokens" in usage:
            usage["input_tokens"] += cached
