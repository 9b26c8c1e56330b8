"""Checks of conversations that change under way: tools that are added and removed, context edits, citations."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import COUNT, Client
from dragoman.doctor.request_fixtures import TOOLS, WEATHER, assistant, body, call, result, system, text, user

SUBJECT = Subject("context")

_CHANGES = "mid-conversation-tool-changes-2026-07-01"
_EDITS = "context-management-2025-06-27"


def _change(kind: str) -> dict[str, Any]:
    return system([{"type": kind, "tool": {"type": "tool_reference", "name": "get_weather"}}])


@SUBJECT.check(
    "a tool can be called from where it is added to where it is removed",
    "a removed tool is called, or an added one never",
    "IN-14",
)
async def tool_changes(client: Client) -> None:
    forced = {"tools": [TOOLS[1], {**WEATHER, "defer_loading": True}], "tool_choice": {"type": "tool", "name": "get_weather"}}
    added = [user("What is the weather in Ulm? Use get_weather."), _change("tool_addition")]
    message = await client.message(body(*added, **forced), anthropic_beta=_CHANGES)
    if [block.name for block in message.blocks("tool_use")] != ["get_weather"]:  # whole, or cut off by max_tokens
        raise CheckFailed(
            f"a forced call of an added tool is answered with {message.types or 'nothing'}: {quoted(message.text)}"
        )
    removed = [*added, assistant("Wait."), user("And now? Use get_weather."), _change("tool_removal")]
    (await client.post(body(*removed, **forced), anthropic_beta=_CHANGES)).expect(400)


@SUBJECT.check(
    "with context_management old results are cleared, and counted before and after",
    "the conversation grows until it does not fit",
    "BETA-4",
    "CNT-4",
)
async def context_edits(client: Client) -> None:
    if not client.claims("context_management"):
        raise Skip("the model does not claim context_management")
    looked: list[dict[str, Any]] = [user("Watch the weather in Ulm.")]
    for number in range(4):
        looked.append(assistant([call(f"toolu_{number}", "get_weather", {"place": "Ulm", "days": 1})]))
        looked.append(user([result(f"toolu_{number}", content="It rains and rains. " * 20)]))
    uses = {"trigger": {"type": "tool_uses", "value": 2}, "keep": {"type": "tool_uses", "value": 1}}
    edits = [{"type": "clear_tool_uses_20250919", **uses}]
    request = {"messages": looked, "tools": TOOLS, "context_management": {"edits": edits}}
    counted = (await client.post(request, COUNT, anthropic_beta=_EDITS)).expect(200).object
    original = (counted.get("context_management") or {}).get("original_input_tokens")
    if not isinstance(original, int) or original <= counted.get("input_tokens", original):
        raise CheckFailed(f"counted {counted.get('input_tokens')} tokens of {original} before the edits")


@SUBJECT.check("what is cited stands in the document", "a citation leads nowhere", "IN-5", "SSE-13")
async def citations(client: Client) -> None:
    if not client.claims("citations"):
        raise Skip("the model does not claim citations")
    words = "The ferry to Ulm runs daily. A ticket costs 3 euros. Dogs are welcome on board."
    source = {"type": "text", "media_type": "text/plain", "data": words}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    answer = await client.post(body(user([document, text("Quote what a ticket costs.")]), max_tokens=60))
    for block in answer.expect(200).object.get("content") or []:
        for citation in block.get("citations") or []:
            start, end = citation.get("start_char_index"), citation.get("end_char_index")
            if not isinstance(start, int) or not isinstance(end, int) or citation.get("cited_text") != words[start:end]:
                raise CheckFailed(f"{citation.get('cited_text')!r} is not at {start} to {end} of the document")
