"""Lowering of chat completions requests, and their rules."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from dragoman.api.base import parse
from dragoman.api.openai.content import UNLIMITED
from dragoman.api.openai.lowering import lower_chat
from dragoman.api.openai.request import ChatRequest, CompletionRequest
from dragoman.api.openai.rules import check_chat, check_completion, check_strict_input
from dragoman.conversation import (
    Conversation,
    Dialogue,
    Role,
    Text,
    Thinking,
    ThinkingPolicy,
    ToolCall,
    ToolPolicy,
    ToolResult,
    Turn,
)
from dragoman.conversation.types import Sampling, ToolChoice
from dragoman.errors import InvalidRequest
from dragoman.media.outcomes import Outcome, Sight, wanted, without_attachments

TOOL = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {"type": "object"}}}
FUNCTION = TOOL["function"]


def allowed(mode: str, *names: str) -> dict[str, Any]:
    """A choice among some of the tools."""
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


CALLS = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "Two at once.",
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "now", "arguments": '{"z": 1, "a": 2}'}},
        {"id": "b", "type": "function", "function": {"name": "now", "arguments": ""}},
    ],
}
RESULTS = [{"role": "tool", "tool_call_id": "b", "content": "two"}, {"role": "tool", "tool_call_id": "a", "content": "one"}]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def lowered(*messages: dict[str, Any], **fields: Any) -> Conversation:
    request = parse(ChatRequest, json.dumps({"model": "m", "messages": messages or [user("Hi")], **fields}).encode())
    check_chat(request)
    return lower_chat(request)


def refusal(*messages: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as raised:
        lowered(*messages, **fields)
    return raised.value.message


def test_an_agents_conversation_keeps_its_turns_its_reasoning_and_the_order_of_its_calls() -> None:
    conversation = lowered(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "And kind."}]},
        user("What time?"),
        CALLS,
        *RESULTS,
        user([{"type": "text", "text": "Well?"}]),
        {"role": "system", "content": "It is late."},
        {"role": "assistant", "content": "One and two."},
        user("Thanks."),
        tools=[TOOL],
    )
    assert conversation.dialogue.system == (Text("Be brief."), Text("And kind."))
    assert conversation.dialogue.turns == (
        Turn(Role.USER, (Text("What time?"),)),
        Turn(Role.ASSISTANT, (Thinking("Two at once."), ToolCall("a", "now", {"z": 1, "a": 2}), ToolCall("b", "now", {}))),
        Turn(
            Role.USER,
            (ToolResult.of_text("a", "now", "one"), ToolResult.of_text("b", "now", "two"), Text("Well?")),
        ),
        Turn(Role.SYSTEM, (Text("It is late."),)),
        Turn(Role.ASSISTANT, (Text("One and two."),)),
        Turn(Role.USER, (Text("Thanks."),)),
    )
    assert list(conversation.dialogue.turns[1].content[1].input) == ["z", "a"]  # type: ignore[union-attr]
    assert [(tool.name, tool.description, tool.strict) for tool in conversation.dialogue.tools] == [("now", "The time.", False)]


def test_a_request_of_only_a_system_message_is_accepted() -> None:
    assert lowered({"role": "system", "content": "Say hi."}).dialogue.turns == (Turn(Role.SYSTEM, (Text("Say hi."),)),)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ThinkingPolicy(enabled=True)),
        ({"reasoning_effort": "high"}, ThinkingPolicy(enabled=True, effort="high")),
        ({"reasoning_effort": "minimal"}, ThinkingPolicy(enabled=True, effort="low")),
        ({"reasoning_effort": "none"}, ThinkingPolicy()),
        ({"chat_template_kwargs": {"enable_thinking": False}}, ThinkingPolicy()),
        ({"enable_thinking": False}, ThinkingPolicy()),
        ({"thinking": {"type": "disabled"}}, ThinkingPolicy()),
        ({"thinking": {"type": "enabled"}}, ThinkingPolicy(enabled=True)),
        ({"reasoning": {"enabled": False}}, ThinkingPolicy()),
        ({"reasoning": {"effort": "none"}}, ThinkingPolicy()),
        ({"reasoning": {"effort": "high", "enabled": True}}, ThinkingPolicy(enabled=True, effort="high")),
    ],
)
def test_reasoning_is_on_unless_the_request_turns_it_off(fields: dict[str, Any], expected: ThinkingPolicy) -> None:
    assert lowered(**fields).policy.thinking == expected


@pytest.mark.clause("OAI-2")
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolPolicy()),
        ("auto", ToolPolicy()),
        ("none", ToolPolicy(ToolChoice.NONE)),
        ("required", ToolPolicy(ToolChoice.ANY)),
        ({"type": "function", "function": {"name": "now"}}, ToolPolicy(ToolChoice.TOOL, "now")),
    ],
)
def test_a_tool_choice_becomes_a_policy(choice: Any, expected: ToolPolicy) -> None:
    assert lowered(tools=[TOOL], tool_choice=choice).policy.tool_policy == expected
    alone = lowered(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False).policy.tool_policy
    assert (alone.choice, alone.name, alone.parallel) == (expected.choice, expected.name, False)


@pytest.mark.clause("OAI-2")
def test_allowed_tools_restrict_the_calls_and_not_the_prompt() -> None:
    other = {"type": "function", "function": {"name": "later"}}
    conversation = lowered(tools=[TOOL, other], tool_choice=allowed("required", "later"))
    assert [tool.name for tool in conversation.dialogue.tools] == ["now", "later"]
    assert [tool.name for tool in conversation.policy.tools] == ["later"]
    assert conversation.policy.tool_policy == ToolPolicy(ToolChoice.ANY)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolPolicy(parallel=False)),
        ("auto", ToolPolicy(parallel=False)),
        ("none", ToolPolicy(ToolChoice.NONE, parallel=False)),
        ({"name": "now"}, ToolPolicy(ToolChoice.TOOL, "now", parallel=False)),
    ],
)
def test_older_functions_are_tools_of_which_an_answer_calls_one(choice: Any, expected: ToolPolicy) -> None:
    conversation = lowered(functions=[FUNCTION], function_call=choice)
    assert conversation.policy.tool_policy == expected
    assert conversation.dialogue.tools == conversation.policy.tools == lowered(tools=[TOOL]).dialogue.tools


@pytest.mark.clause("OAI-5")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "json_object", "schema": {"type": "object", "required": ["a"]}}, {"type": "object", "required": ["a"]}),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": None, "strict": None}}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, {}),
        (None, None),
    ],
)
def test_a_response_format_may_leave_out_what_it_need_not_say(wanted: Any, expected: Any) -> None:
    assert lowered(response_format=wanted).policy.output == expected


def test_minus_one_means_no_limit() -> None:
    policy = lowered(max_tokens=-1, max_completion_tokens=-1, top_k=-1).policy
    assert (policy.max_tokens, policy.sampling.top_k) == (UNLIMITED, 0)


def test_limits_sampling_stops_and_formats_are_kept() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}
    conversation = lowered(
        max_tokens=5, max_completion_tokens=7, temperature=1.5, top_p=0.5, seed=3, stop=["END", ""],
        presence_penalty=0.5, frequency_penalty=-0.5,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
    )  # fmt: skip
    assert (conversation.policy.max_tokens, conversation.policy.stop_sequences) == (7, ("END",))
    assert conversation.policy.sampling == Sampling(1.5, 0.5, None, 3, 0.5, -0.5)
    assert conversation.policy.output == schema
    assert lowered(max_tokens=5).policy.max_tokens == 5
    assert lowered().policy.max_tokens == UNLIMITED
    assert lowered(stop="END").policy.stop_sequences == ("END",)
    assert lowered(response_format={"type": "json_object"}).policy.output == {"type": "object"}
    assert lowered(response_format={"type": "text"}).policy.output is None


@pytest.mark.clause("OAI-6")
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"logit_bias": {"five": 1}}, "logit_bias.five"),
        ({"functions": [{}]}, "functions.0.name"),
        ({"functions": [FUNCTION], "tools": [TOOL]}, "functions"),
        ({"function_call": "auto", "tools": [TOOL]}, "function_call"),
        ({"functions": [FUNCTION], "function_call": {"name": "x"}}, "function_call.name"),
        ({"tools": [TOOL], "tool_choice": allowed("auto", "x")}, "tool_choice.allowed_tools.tools.0.function.name"),
        ({"moderation": {}, "audio": {"voice": "x", "format": "wav"}}, "audio"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ({"response_format": {"type": "json_object", "schema": {"type": 5}}}, "response_format.schema"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        (
            {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"type": 5}}}]},
            "tools.0.function.parameters",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [TOOL]}, "tool_choice.function.name"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}}, "response_format."),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
    ],
)
def test_unsupported_fields_are_refused_by_name(fields: dict[str, Any], path: str) -> None:
    assert refusal(**fields).startswith(path)


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ([user("Hi"), {"role": "tool", "tool_call_id": "a", "content": "?"}], "messages.1.tool_call_id"),
        ([user("Hi"), CALLS, RESULTS[0]], "messages: calls without a tool message: a"),
        ([user("Hi"), CALLS, user("So?")], "messages.2"),
        ([user([{"type": "hologram"}])], "messages.0.user.content.0"),
    ],
)  # fmt: skip
def test_an_invalid_conversation_is_refused_at_its_path(messages: list[dict[str, Any]], path: str) -> None:
    assert refusal(*messages).startswith(path)


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
PAPER = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGVsbG8="}}


def without_sight(conversation: Conversation) -> Dialogue:
    """The dialogue for a text-only model; every PDF has the same text."""
    dialogue = conversation.dialogue
    outcomes = dict.fromkeys(wanted(dialogue, Sight(), {}), Outcome((Text("It rained."),)))
    return without_attachments(dialogue, Sight(), outcomes)


def test_what_the_model_cannot_see_is_replaced_by_a_note() -> None:
    away = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    dialogue = without_sight(lowered(user([PICTURE, away, PAPER, {"type": "text", "text": "What is it?"}])))
    picture, elsewhere, paper, words = (part.text for part in dialogue.turns[0].content if isinstance(part, Text))
    assert "(image/png, 5 bytes)" in picture
    assert "https://example.com/a.png" in elsewhere
    assert "a.pdf" in paper
    assert "<content>\nIt rained.\n</content>" in paper
    assert words == "What is it?"
    assert dialogue.notes == ("omitted: 2 images that the model cannot see",)


SOUND = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}


@pytest.mark.parametrize("part", [SOUND])
def test_strict_input_refuses_what_no_model_takes(part: dict[str, Any]) -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [user([part])]})
    with pytest.raises(InvalidRequest, match=r"^messages\.0\.content\.0: this model cannot take"):
        check_strict_input(request)


@pytest.mark.parametrize(
    ("fields", "path"), [({"prompt": ["a", ""]}, "prompt.1"), ({"prompt": ""}, "prompt"), ({"prompt": [[1], []]}, "prompt.1"),
                         ({"prompt": [1], "suffix": "x"}, "suffix"),
                         ({"best_of": 2}, "best_of"), ({"n": 2, "best_of": 3}, "best_of"),
                         ({"prompt": ["a"] * 9, "n": 128}, "prompt")],
)  # fmt: skip
def test_completions_are_checked_too(fields: dict[str, Any], path: str) -> None:
    request = CompletionRequest.model_validate({"model": "m", "prompt": "Once", **fields})
    with pytest.raises(InvalidRequest, match=f"^{path}:"):
        check_completion(request)


def called(arguments: object) -> tuple[dict[str, Any], Sequence[str]]:
    """The lowered arguments of a call, and the notes."""
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": arguments}}
    conversation = lowered(user("Hi"), {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a"})
    part = conversation.dialogue.turns[1].content[0]
    assert isinstance(part, ToolCall)
    return dict(part.input), conversation.dialogue.notes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": "party \\ud83c"}', {"a": "party \ufffd"}),
        ('{"a": "party \\ud83c\\udf89"}', {"a": "party 🎉"}),
        ('{"par\\ud83cty": [{"\\udf89": 1}]}', {"par\ufffdty": [{"\ufffd": 1}]}),
        ('{"a": 1e400, "b": NaN, "c": -Infinity}', {"a": "1e400", "b": "NaN", "c": "-Infinity"}),
    ],
)
def test_arguments_in_the_history_are_parsed_as_far_as_possible(arguments: object, expected: dict[str, Any]) -> None:
    assert called(arguments) == (expected, ())


@pytest.mark.parametrize(
    "arguments",
    ['{"value": ', '"x"', "[1]", "7", "null", "not JSON", '{"a":' * 100_000 + "1" + "}" * 100_000, '{"a": ' + "9" * 5000 + "}"],
    ids=lambda text: text[:12],
)
def test_arguments_that_are_not_an_object_are_kept_as_text(arguments: str) -> None:
    assert called(arguments) == (
        {"(arguments)": arguments},
        ("kept as text: the arguments of 1 call, not a JSON object",),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"thinking": "Hm."},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}, {"type": "reasoning.encrypted", "data": "x"}]},
    ],
)
def test_reasoning_is_read_from_all_of_its_fields(fields: dict[str, Any]) -> None:
    conversation = lowered(user("Hi"), {"role": "assistant", "content": "Yes."} | fields, user("So?"))
    assert conversation.dialogue.turns[1].content == (Thinking("Hm."), Text("Yes."))


def test_a_refusal_part_is_text() -> None:
    answer = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert lowered(user("Hi"), answer, user("So?")).dialogue.turns[1].content == (Text("No."),)


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, PICTURE, PAPER], "a\n[image omitted"),
        ([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], "[image omitted"),
        ([{"type": "input_image", "image_url": "data:image/bmp;base64,AAAA"}], "[image omitted"),
        ([{"type": "file", "file": {"file_id": "file-1"}}], "<document>\n<content>\n[document omitted"),
        ([{"type": "input_audio", "input_audio": {"data": ""}}], "[audio omitted: this model cannot take it]"),
        ([{"type": "hologram", "x": 1}], "[hologram omitted: this model cannot take it]"),
        ([{"type": "output_text", "text": "a"}], "a"),
    ],
)
def test_a_result_may_contain_parts_of_every_type(content: object, outcome: str) -> None:
    dialogue = without_sight(lowered(user("Hi"), CALLS, *RESULTS[:1], {**RESULTS[1], "content": content}))
    results = {part.call_id: part.text for part in dialogue.turns[-1].content if isinstance(part, ToolResult)}
    assert results[RESULTS[1]["tool_call_id"]].startswith(outcome)


def test_an_older_function_call_is_a_call_and_the_next_message_its_result() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": '{"zone": "UTC"}'}}
    conversation = lowered(user("Hi"), call, {"role": "function", "name": "now", "content": "noon"})
    assert conversation.dialogue.turns[1].content == (ToolCall("function_call", "now", {"zone": "UTC"}),)
    assert conversation.dialogue.turns[2].content == (ToolResult.of_text("function_call", "now", "noon"),)


def test_notes_say_what_the_model_does_not_get() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    conversation = lowered({"role": "user", "name": "ann", "content": [{"type": "text", "text": "Hi"}, sound]})
    assert conversation.dialogue.notes == ("omitted: 1 audio part that the model cannot take", "ignored: names of speakers")
