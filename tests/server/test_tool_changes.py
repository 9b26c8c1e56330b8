"""Tools that are added and removed within a conversation, on a live server."""

from collections.abc import Sequence
from typing import Any

import pytest

from conftest import body, user
from controllable_engine import ControllableEngine
from server.http import post

BETA = "claude-code-20250219, mid-conversation-tool-changes-2026-07-01"
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
READ = {"name": "Read", "description": "Read a file.", "input_schema": SCHEMA}
FIND = {"name": "mcp__notes__find", "description": "Find a note.", "defer_loading": True, "input_schema": SCHEMA}
REFERENCE = {"type": "tool_reference", "name": "mcp__notes__find"}
ADDED = {"role": "system", "content": [{"type": "tool_addition", "tool": REFERENCE}]}
REMOVED = {"role": "system", "content": [{"type": "tool_removal", "tool": REFERENCE}]}
CALL = '<tool_call>\n{"name": "mcp__notes__find", "arguments": {"text": "ferry"}}\n</tool_call>'
TALK = [user("Hi"), ADDED, {"role": "assistant", "content": "Yes?"}, user("Find the note."), REMOVED]


def tools_request(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body(*messages, tools=[READ, FIND], **fields)


def blocks(url: str, request: dict[str, Any], *, stream: bool) -> Sequence[str]:
    """Return the block types of the answer, and its stop reason."""
    answer = post(url, request | {"stream": stream}, "/v1/messages?beta=true", anthropic_beta=BETA)
    if not stream:
        return [*(block["type"] for block in answer.json["content"]), answer.json["stop_reason"]]
    starts = [event["content_block"]["type"] for event in answer.events if event["type"] == "content_block_start"]
    return [*starts, *(event["delta"]["stop_reason"] for event in answer.events if event["type"] == "message_delta")]


@pytest.mark.clause("IN-14")
@pytest.mark.parametrize("stream", [True, False])
def test_a_tool_can_be_called_after_it_is_added_until_it_is_removed(engine: ControllableEngine, stream: bool) -> None:
    url = engine.says(CALL)
    assert blocks(url, tools_request(*TALK[:2]), stream=stream) == ["tool_use", "tool_use"]
    assert blocks(url, tools_request(*TALK[:4]), stream=stream) == ["tool_use", "tool_use"]
    assert blocks(url, tools_request(*TALK), stream=stream) == ["text", "end_turn"]


@pytest.mark.clause("IN-14", "TOOL-5")
def test_a_forced_call_chooses_from_the_final_tools(engine: ControllableEngine) -> None:
    url = engine.says(CALL)
    for messages, names in ((TALK[:4], {"Read", "mcp__notes__find"}), (TALK, {"Read"})):
        engine.requests.clear()
        post(url, tools_request(*messages, tool_choice={"type": "any"}), anthropic_beta=BETA)
        assert {name for name in ("Read", "mcp__notes__find") if name in repr(engine.requests[0].constraint)} == names


@pytest.mark.clause("IN-14", "CACHE-4", "CNT-2")
def test_changes_are_counted_and_keep_the_prompt_before_them(engine: ControllableEngine) -> None:
    url = engine.says("Yes?")
    engine.requests.clear()
    sizes = []
    for end in (1, 2, 4, 5):
        post(url, tools_request(*TALK[:end]), anthropic_beta=BETA)
        sizes.append(
            post(url, tools_request(*TALK[:end]), "/v1/messages/count_tokens", anthropic_beta=BETA).json["input_tokens"]
        )
    assert sizes == [len(prompt) for prompt in engine.prompts]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]
    first, second, *_, last = (list(prompt) for prompt in engine.prompts)
    common = next(place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    assert common > len(first) - 8  # all but the opening of the answer
    assert last[:common] == first[:common]
