"""Defects of inputs and of an agent's session."""

from collections.abc import Callable
from typing import Any

from doctor.relay import Alteration, Exchange

from .registry import matches, on_request, on_response, refuses, streamed

# ---- inputs

refuses(lambda e: e.holds('"image"'), "image", "image-count", name="images are refused with another message")
refuses(lambda e: e.holds('"text/plain"'), "document", "citations", name="documents are refused with another message")
refuses(lambda e: e.is_message and e.holds("application/pdf"), "pdf", name="PDFs are refused with another message")
refuses(lambda e: matches(e, system="You help.") and e.holds('"role": "system"'), "system-message", name="two roles only")


@on_request("unknown-block")
def unknown_blocks_are_dropped(exchange: Exchange) -> None:
    if exchange.is_message and exchange.holds("hologram"):
        del exchange.body["messages"][0]["content"][0]


# ---- agent

refuses(lambda e: matches(e, stream=True) and e.holds("context_management"), "first-request", name="no context_management")


def _agents(change: Callable[[dict[str, Any]], None]) -> Alteration:
    """Change the requests of the agent's session."""

    def alter(exchange: Exchange) -> None:
        if exchange.is_message and "context_management" in exchange.body:
            change(exchange.body)

    alter.__name__ = change.__name__
    return alter


@on_request("billing-line")
@_agents
def the_billing_line_is_rendered(body: dict[str, Any]) -> None:
    body["system"][0]["text"] = body["system"][0]["text"].removeprefix("x-anthropic-billing-header: ")


@on_request("system-in-place")
@_agents
def late_system_messages_are_hoisted(body: dict[str, Any]) -> None:
    late = [message for message in body["messages"] if message["role"] == "system"]
    body["messages"] = [message for message in body["messages"] if message["role"] != "system"]
    texts = [message["content"] if isinstance(message["content"], str) else message["content"][0]["text"] for message in late]
    body["system"] += [{"type": "text", "text": text} for text in texts]


@on_request("next-turn")
@_agents
def a_cache_mark_changes_the_prompt(body: dict[str, Any]) -> None:
    last = body["messages"][1]
    if isinstance(last["content"], list):
        body["system"][1]["text"] = "Marked. " + body["system"][1]["text"]


@on_response("cache-in-stream")
@streamed
def streams_without_cached_tokens(_: Exchange, events: list[list[Any]]) -> None:
    for usage in (events[0][1]["message"]["usage"], events[-2][1]["usage"]):
        cached = usage.pop("cache_read_input_tokens", 0) or 0
        if "input_tokens" in usage:
            usage["input_tokens"] += cached
