"""Defects that both formats can have."""

from typing import Any

from doctor.relay import Exchange
from dragoman.doctor import CHAT_API, RESPONSES_API

from .registry import Object, asks, failed, is_generation, on_request, on_response, refuses, whole

BOTH_NAMES = ("max_tokens", "max_output_tokens")


def entries(exchange: Exchange) -> list[Object]:
    """The messages or the items of a request."""
    given = exchange.body.get("messages", exchange.body.get("input")) if is_generation(exchange) else None
    return given if isinstance(given, list) else []


def limit(exchange: Exchange) -> int:
    return next((exchange.body[name] for name in BOTH_NAMES if exchange.body.get(name)), 0)


# ---- transport


@on_response("request-id")
def answers_without_a_request_id(exchange: Exchange) -> None:
    exchange.answer_headers.pop("x-request-id", None)


@on_response("json-type")
def answers_as_plain_text(exchange: Exchange) -> None:
    if is_generation(exchange) and exchange.status == 200:
        exchange.answer_headers["content-type"] = "text/plain"


refuses(
    lambda e: is_generation(e) and e.headers.get("authorization") == "Bearer any",
    *("key-header",),
    name="keys are refused by a server without one",
)
refuses(
    lambda e: is_generation(e) and e.headers.get("authorization") == "Bearer certainly-wrong",
    *("wrong-key",),
    name="a wrong key is a 400",
)
refuses(lambda e: is_generation(e) and "brand_new_field" in e.body, "unknown-field", name="unknown fields are refused")
refuses(lambda e: is_generation(e) and e.in_flight > 1, "several-at-once", name="one request at a time")

# ---- models


@on_response("models-list")
def a_list_of_another_kind(exchange: Exchange) -> None:
    if exchange.path == "/v1/models":
        exchange.answer = {**exchange.answer, "object": "models"}


@on_response("models-one")
def one_model_without_its_owner(exchange: Exchange) -> None:
    if exchange.path.startswith("/v1/models/") and exchange.status == 200:
        exchange.answer = {name: value for name, value in exchange.answer.items() if name != "owned_by"}


@on_request("models-unknown")
def every_model_is_found(exchange: Exchange) -> None:
    if exchange.path.startswith("/v1/models/no"):
        exchange.path = "/v1/models/scripted"


# ---- errors


@failed("error-shape")
def errors_without_a_code(_: Exchange, error: Object) -> None:
    if error["code"] is None:
        del error["code"]


@failed("bad-json")
def broken_bodies_are_another_type(exchange: Exchange, error: Object) -> None:
    if isinstance(exchange.body, bytes):
        error["type"] = "server_error"


@failed("error-param")
def errors_without_a_param(_: Exchange, error: Object) -> None:
    error["param"] = None


@on_response("unknown-route")
def unknown_paths_are_a_400(exchange: Exchange) -> None:
    if exchange.path.endswith("/no/where"):
        exchange.status = 400


@failed("unknown-model")
def unknown_models_without_a_code(exchange: Exchange, error: Object) -> None:
    if error["code"] == "model_not_found":
        error["code"] = None


@on_response("early-status")
def errors_inside_a_stream(exchange: Exchange) -> None:
    if asks(exchange, stream=True) and exchange.status == 400:
        exchange.status, exchange.answer_headers["content-type"] = 200, "text/event-stream"
        exchange.content = b"data: " + exchange.content + b"\n\n"


@failed("overflow")
def prompts_too_long_without_a_code(_: Exchange, error: Object) -> None:
    if error["code"] == "context_length_exceeded":
        error["code"] = None


# ---- answers


@on_response("model-echo")
def an_answer_with_another_model_name(exchange: Exchange) -> None:
    if is_generation(exchange) and exchange.status == 200 and exchange.answer and limit(exchange) == 16:
        exchange.answer = {**exchange.answer, "model": "model.gguf"}


@whole("limit", apis=[CHAT_API])
def a_cut_answer_says_stop(exchange: Exchange, answer: Object) -> None:
    if exchange.holds("lighthouse") and answer["choices"][0]["finish_reason"] == "length" and len(entries(exchange)) == 1:
        answer["choices"][0]["finish_reason"] = "stop"


@whole("limit", apis=[RESPONSES_API])
def a_cut_answer_says_completed(exchange: Exchange, answer: Object) -> None:
    if exchange.holds("lighthouse") and answer["incomplete_details"]:
        answer |= {"status": "completed", "incomplete_details": None}


refuses(lambda e: is_generation(e) and limit(e) > 4000, "limit-huge", name="limits are checked")


@on_request("late-instructions")
def developer_messages_are_dropped(exchange: Exchange) -> None:
    for entry in list(entries(exchange)):
        if entry.get("role") == "developer":
            entries(exchange).remove(entry)


@on_request("json-schema")
def schemas_are_ignored(exchange: Exchange) -> None:
    if is_generation(exchange) and ("json_schema" in str(exchange.body.get("response_format", exchange.body.get("text")))):
        exchange.body.pop("response_format", None)
        exchange.body.pop("text", None)
        entries(exchange)[0]["content"] = "Tell a tale."


def _leak(exchange: Exchange, add: Any) -> None:
    if exchange.holds("What is 17 + 25?"):
        add("<think>\nThey make 42.\n</think>\n\n42.")


@whole("reasoning-apart", apis=[CHAT_API])
def reasoning_in_the_content(exchange: Exchange, answer: Object) -> None:
    _leak(exchange, lambda text: answer["choices"][0]["message"].update(content=text))


@whole("reasoning-apart", apis=[RESPONSES_API])
def reasoning_in_the_message(exchange: Exchange, answer: Object) -> None:
    _leak(exchange, lambda text: answer["output"][-1]["content"][0].update(text=text))


# ---- streams


@on_request("sse-type", apis=[CHAT_API, RESPONSES_API])
def only_long_answers_are_streamed(exchange: Exchange) -> None:
    if asks(exchange, stream=True) and limit(exchange) == 16:
        del exchange.body["stream"]


# ---- tools


@on_request("tool-required")
def forced_calls_are_not_forced(exchange: Exchange) -> None:
    if asks(exchange, tool_choice="required") and not exchange.body.get("stream") and not exchange.holds("order"):
        exchange.body["tool_choice"] = "auto"
        entries(exchange)[0]["content"] = "Tell a tale."


@on_request("tool-named")
def named_functions_are_ignored(exchange: Exchange) -> None:
    if is_generation(exchange) and exchange.holds("What time is it") and isinstance(exchange.body.get("tool_choice"), dict):
        exchange.body["tool_choice"] = "required"
        entries(exchange)[0]["content"] = "Use get_weather."


@on_request("tool-none")
def forbidden_calls_are_made(exchange: Exchange) -> None:
    if asks(exchange, tool_choice="none") and len(entries(exchange)) == 1:
        exchange.body["tool_choice"] = "required"
        entries(exchange)[0]["content"] = "Use get_weather."


@on_request("tool-result")
def results_are_dropped(exchange: Exchange) -> None:
    for entry in entries(exchange):
        for name in ("content", "output"):
            if "Rain in the morning" in str(entry.get(name)):
                entry[name] = "Rain."


@on_request("tool-result-alone")
def results_without_a_call_are_accepted(exchange: Exchange) -> None:
    for entry in list(entries(exchange)):
        if "call_none" in str(entry):
            entries(exchange).remove(entry)


@on_request("tool-cut")
def limits_are_ignored_in_calls(exchange: Exchange) -> None:
    if exchange.holds("Write a long note."):
        for name in BOTH_NAMES:
            exchange.body.pop(name, None)


# ---- inputs and cache

refuses(lambda e: is_generation(e) and e.holds("data:image"), "image", name="images are a 500", status=500)


@on_request("unknown-content")
def unknown_content_is_dropped(exchange: Exchange) -> None:
    for entry in entries(exchange):
        if "hologram" in str(entry.get("content")):
            entry["content"] = "Hello."


@on_request("next-turn")
def a_clock_in_the_prompt(exchange: Exchange) -> None:
    if exchange.holds("Say what it is made of"):
        entries(exchange).insert(0, {"role": "system", "content": f"It is {len(entries(exchange))} o'clock."})
