"""Custom tools of chat completions: their rules, their lowering, and the chunks of their calls."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from dragoman import dialects
from dragoman.api.base import parse
from dragoman.api.openai.completions import ChatChunk
from dragoman.api.openai.encoder import Answer, ChatEncoder
from dragoman.api.openai.folding import fold_chat
from dragoman.api.openai.lowering import lower_chat
from dragoman.api.openai.request import ChatRequest
from dragoman.api.openai.rules import check_chat
from dragoman.conversation import AnswerPolicy, Conversation, Tool, ToolCall, ToolPolicy, ToolResult
from dragoman.conversation.types import ToolChoice
from dragoman.errors import InvalidRequest
from dragoman.generation.output_policies import OutputPolicies
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, StopReason, TokenCounts
from splits import same_at_every_split

COUNTS = TokenCounts(9, 0, 7)
NOW = {"type": "function", "function": {"name": "now"}}
PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Applies a patch."}}
CHOICE = {"type": "custom", "custom": {"name": "patch"}}


def held_to(syntax: str, definition: str) -> dict[str, Any]:
    """A custom tool with a grammar."""
    grammar = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
    return {"type": "custom", "custom": {"name": "patch", "format": grammar}}


def lowered(*messages: dict[str, Any], **fields: Any) -> Conversation:
    asked = messages or [{"role": "user", "content": "Hi"}]
    request = parse(ChatRequest, json.dumps({"model": "m", "messages": asked, **fields}).encode())
    check_chat(request)
    return lower_chat(request)


@pytest.mark.clause("OAI-12")
@pytest.mark.parametrize(
    ("tool", "pattern"),
    [
        (PATCH, None),
        ({"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}, None),
        (held_to("regex", "[ab]+"), "^(?:[ab]+)$"),
        (held_to("lark", 'start: "a" | "b"'), "^(?:(?:a|b))$"),
    ],
)
def test_the_model_gives_the_input_as_one_argument(tool: dict[str, Any], pattern: str | None) -> None:
    (neutral,) = lowered(tools=[tool]).dialogue.tools
    assert neutral.schema["required"] == ["input"]
    assert (neutral.schema["properties"]["input"].get("pattern"), neutral.strict) == (pattern, pattern is not None)


@pytest.mark.clause("OAI-11", "OAI-12")
def test_calls_and_their_results_are_taken_back() -> None:
    calls = [
        {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "-a\n+b"}},
        {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]
    results = [{"role": "tool", "tool_call_id": name, "content": "done"} for name in ("a", "b")]
    dialogue = lowered({"role": "user", "content": "Go"}, {"role": "assistant", "tool_calls": calls}, *results).dialogue
    assert dialogue.turns[1].content == (ToolCall("a", "patch", {"input": "-a\n+b"}), ToolCall("b", "now", {}))
    assert dialogue.turns[2].content == tuple(
        ToolResult.of_text(call, name, "done") for call, name in (("a", "patch"), ("b", "now"))
    )
    assert dialogue.notes == ()


@pytest.mark.clause("OAI-2", "OAI-12")
@pytest.mark.parametrize(
    ("choice", "policy", "names"),
    [
        (CHOICE, ToolPolicy(ToolChoice.TOOL, "patch"), ["now", "patch"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CHOICE]}},
            ToolPolicy(ToolChoice.ANY),
            ["patch"],
        ),
    ],
)
def test_a_custom_tool_can_be_chosen(choice: dict[str, Any], policy: ToolPolicy, names: list[str]) -> None:
    conversation = lowered(tools=[NOW, PATCH], tool_choice=choice)
    assert conversation.policy.tool_policy == policy
    assert [tool.name for tool in conversation.policy.tools] == names
    assert [tool.name for tool in conversation.dialogue.tools] == ["now", "patch"]


@pytest.mark.clause("OAI-6", "OAI-12")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tools": [{"type": "mcp"}]}, "tools.0: Input tag 'mcp'"),
        ({"tools": [PATCH, {"type": "function", "function": {"name": "patch"}}]}, "tools: the name patch is used 2 times"),
        ({"tools": [held_to("regex", "(")]}, "tools.0.custom.format.grammar.definition"),
        ({"tools": [held_to("lark", 'start: "a" start?')]}, "tools.0.custom.format.grammar.definition: this grammar cannot"),
        ({"tools": [PATCH], "tool_choice": {"type": "function", "function": {"name": "patch"}}}, "tool_choice.function.name"),
        ({"tools": [NOW], "tool_choice": CHOICE}, "tool_choice.custom.name: patch is not among the tools"),
        (
            {
                "tools": [PATCH],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "now"}}]},
                },
            },
            "tool_choice.allowed_tools.tools.0.custom.name: now is not among",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        lowered(**fields)
    assert raised.value.message.startswith(reason)


def encoder() -> ChatEncoder:
    return ChatEncoder(Answer(partial(ChatChunk, "chatcmpl-1", 5, "m"), usage=True), custom=frozenset({"patch"}))


@pytest.mark.clause("OAI-12")
def test_the_input_of_a_call_is_streamed_as_plain_text() -> None:
    parts = [
        CallStart("patch", "toolu_1"),
        CallDelta('{"input": "a\\n'),
        CallDelta('b"'),
        CallDelta("}"),
        CallEnd(),
        CallStart("now", "toolu_2"),
        CallDelta("{}"),
        CallEnd(),
    ]
    stream = encoder()
    made = [msgspec.to_builtins(chunk) for part in parts for chunk in stream.encode(part)]
    assert [call for chunk in made for call in chunk["choices"][0]["delta"]["tool_calls"]] == [
        {"index": 0, "id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": ""}},
        {"index": 0, "custom": {"input": "a\n"}},
        {"index": 0, "custom": {"input": "b"}},
        {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]


@pytest.mark.clause("OAI-1", "OAI-12")
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("arguments", [{"input": 'a\n"é🦊\\'}, {"text": "a", "more": 1}])
def test_an_answer_is_the_same_at_every_split_of_the_models_output(arguments: dict[str, Any], cut: bool) -> None:
    calls = [ToolCall("", "now", {"zone": "UTC"}), ToolCall("", "patch", arguments)]
    policy = AnswerPolicy(tools=(Tool("now", "", {"type": "object"}), Tool("patch", "", {"type": "object"})))
    output = dialects.DEFAULT.encode_calls(calls)
    output = output[: len(output) * 3 // 4] if cut else output

    def read(chunks: Sequence[str]) -> object:
        parser, policies = dialects.DEFAULT.parser(policy.schemas, thinking_open=False), OutputPolicies(policy)
        parts = [part for chunk in chunks for part in policies.apply(parser.feed(chunk))]
        parts += [*policies.apply(parser.finish(cut=cut)), *policies.flush()]
        stream = encoder()
        ending = Ending(StopReason.MAX_TOKENS if cut else StopReason.TOOL_USE, COUNTS)
        message = fold_chat(chunk for part in [*parts, ending] for chunk in stream.encode(part)).choices[0].message
        return [(call.function, call.custom) for call in message.tool_calls or ()]

    same_at_every_split(read, output)
