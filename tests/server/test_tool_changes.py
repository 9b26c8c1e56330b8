"""Tools that are added and removed within a conversation, on a live server."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from anthropic.types.beta import BetaToolChangeToolDefinitionParam

from conftest import MODEL, body, live_server, user
from controllable_engine import ControllableEngine
from dragoman import dialects
from dragoman.conversation import ToolCall
from server.http import post
from server.recording_engine import RecordingEngine, common_beginning

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


@pytest.mark.clause("IN-14", "CACHE-4")
def test_the_tool_runner_of_the_sdk_adds_a_tool_and_removes_it() -> None:
    """It sends definitions and references in system messages, with the SDK's types."""
    counted: list[int] = []

    @anthropic.beta_tool
    def read() -> str:
        """Read the notes."""
        return "Three sheep."

    @anthropic.beta_tool
    def count(number: int) -> str:
        """Count sheep."""
        counted.append(number)
        return "Counted."

    definition: BetaToolChangeToolDefinitionParam = {"type": "tool_definition", "definition": count.to_dict()}

    def called(name: str, **arguments: int) -> str:
        return dialects.DEFAULT.encode_calls([ToolCall("", name, arguments)])

    engine = RecordingEngine(called("read"), called("count", number=3), called("read"), called("count", number=4))
    with (
        live_server(engine) as url,
        anthropic.Anthropic(base_url=url, api_key="none", _strict_response_validation=True) as client,
    ):
        runner = client.beta.messages.tool_runner(
            model=MODEL,
            max_tokens=400,
            messages=[{"role": "user", "content": "How many sheep are in the notes?"}],
            tools=[read],
            betas=["inline-tools-2026-09-15"],
        )
        answers: list[list[str | None]] = []
        for message in runner:
            change = (runner.add_tools, None, runner.remove_tools, None)[len(answers)]
            if change is not None:
                change(count)
            answers.append([*(block.type for block in message.content), message.stop_reason])
        with pytest.raises(anthropic.BadRequestError, match="Tool 'count' not found"):
            client.beta.messages.create(
                model=MODEL,
                max_tokens=9,
                tools=[read.to_dict()],
                tool_choice={"type": "tool", "name": "count"},
                messages=[
                    {"role": "user", "content": "How many sheep are in the notes?"},
                    {"role": "system", "content": [{"type": "tool_addition", "tool": definition}]},
                    {"role": "assistant", "content": "Wait."},
                    {"role": "user", "content": "And?"},
                    {
                        "role": "system",
                        "content": [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "count"}}],
                    },
                ],
            )
    assert answers == [*[["tool_use", "tool_use"]] * 3, ["text", "end_turn"]]
    assert counted == [3]
    assert ["Count sheep." in text for text in engine.texts] == [False, True, True, True]
    assert ["The tool count is no longer available." in text for text in engine.texts] == [False, False, False, True]
    assert min(common_beginning(one, other) / len(one) for one, other in pairwise(engine.prompts)) > 0.95
