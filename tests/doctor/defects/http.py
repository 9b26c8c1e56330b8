"""Defects of paths, headers, models and errors."""

from collections.abc import Callable
from typing import Any

from doctor.relay import Alteration, Exchange

from .registry import matches, on_request, on_response, refuses

# ---- transport


@on_response("request-id")
def answers_without_a_request_id(exchange: Exchange) -> None:
    if exchange.is_message and exchange.status == 200:
        del exchange.answer_headers["request-id"]


@on_response("json-type")
def json_declared_as_text(exchange: Exchange) -> None:
    if exchange.is_message and exchange.status == 200 and exchange.answer is not None:
        exchange.answer_headers["content-type"] = "text/plain"


@on_request("no-redirect")
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
refuses(lambda e: e.is_count and e.in_flight > 1, "burst-of-counts", name="one count at a time", status=429)


# ---- models


def _models(change: Callable[[dict[str, Any]], None]) -> Alteration:
    def alter(exchange: Exchange) -> None:
        if exchange.path == "/v1/models" and exchange.status == 200:
            page = exchange.answer
            if page["data"]:
                change(page)
            exchange.answer = page

    alter.__name__ = change.__name__
    return alter


@on_response("models-list")
@_models
def a_page_without_has_more(page: dict[str, Any]) -> None:
    del page["has_more"]


@on_request("models-paging")
def pages_repeat(exchange: Exchange) -> None:
    if exchange.path == "/v1/models":
        exchange.query = ""


@on_response("models-item")
@_models
def a_model_without_a_lifecycle(page: dict[str, Any]) -> None:
    del page["data"][0]["lifecycle"]


@on_response("models-window")
@_models
def a_model_without_a_window(page: dict[str, Any]) -> None:
    page["data"][0]["max_input_tokens"] = None


@on_response("models-capabilities")
@_models
def capabilities_in_part(page: dict[str, Any]) -> None:
    del page["data"][0]["capabilities"]["thinking"]


refuses(lambda e: e.path == "/v1/models/scripted", "models-one", name="no such route for one model", status=404)


@on_request("models-unknown")
def any_model_is_known_in_the_list(exchange: Exchange) -> None:
    if exchange.path.startswith("/v1/models/no"):
        exchange.path = "/v1/models"


def _claude(exchange: Exchange) -> bool:
    return exchange.is_message and exchange.body.get("model", "").startswith("claude-")


refuses(_claude, "claude-names", name="no claude names", status=404)


# ---- errors


def _error(change: Callable[[Exchange, dict[str, Any]], None]) -> Alteration:
    def alter(exchange: Exchange) -> None:
        if exchange.status >= 400:
            envelope = exchange.answer
            change(exchange, envelope)
            exchange.answer = envelope

    alter.__name__ = change.__name__
    return alter


@on_response("error-shape")
@_error
def errors_in_another_shape(_: Exchange, envelope: dict[str, Any]) -> None:
    del envelope["type"]


@on_response("error-request-id")
@_error
def errors_without_a_request_id(_: Exchange, envelope: dict[str, Any]) -> None:
    del envelope["request_id"]


@on_response("bad-json")
def broken_bodies_are_422(exchange: Exchange) -> None:
    if isinstance(exchange.body, bytes) and exchange.method == "POST":
        exchange.status = 422


@on_response("missing-field")
@_error
def another_message_for_a_missing_field(_: Exchange, envelope: dict[str, Any]) -> None:
    error = envelope["error"]
    error["message"] = error["message"].replace("max_tokens: Field required", "1 validation error for MessagesRequest")


@on_response("unknown-route")
@_error
def an_unknown_path_is_an_invalid_request(exchange: Exchange, envelope: dict[str, Any]) -> None:
    if exchange.path == "/v1/nowhere":
        envelope["error"]["type"] = "invalid_request_error"


@on_request("unknown-model")
def any_model_is_known(exchange: Exchange) -> None:
    if matches(exchange, model="no-such-model"):
        exchange.body["model"] = "claude-any"


@on_response("early-status")
def refusals_inside_a_stream(exchange: Exchange) -> None:
    if exchange.is_message and exchange.body.get("stream") and exchange.status == 400:
        exchange.status = 200


@on_response("overflow")
@_error
def another_message_for_an_overflow(_: Exchange, envelope: dict[str, Any]) -> None:
    if "too long" in envelope["error"]["message"]:
        envelope["error"]["message"] = "the request exceeds the available context size"


@on_request("thread")
def threads_are_ignored(exchange: Exchange) -> None:
    if exchange.is_message:
        exchange.body.pop("thread", None)
