"""Lowering of requests of the Responses API, and their rules."""

import json
from typing import Any

import pytest

from dragoman.api.base import check_known, parse, unknown_fields
from dragoman.api.openai.content import UNLIMITED
from dragoman.api.openai.responses.lowering import lower
from dragoman.api.openai.responses.request import CountRequest, ResponsesRequest
from dragoman.api.openai.responses.rules import check, check_strict_input
from dragoman.conversation import (
    Attachment,
    AttachmentKind,
    Conversation,
    FileId,
    Inline,
    Role,
    Text,
    Thinking,
    ThinkingPolicy,
    ToolCall,
    ToolPolicy,
    ToolResult,
    Turn,
    Url,
)
from dragoman.conversation.signature import sign
from dragoman.conversation.types import Sampling, ToolChoice
from dragoman.errors import InvalidRequest
from dragoman.limits import Limits

NOW = {"type": "function", "name": "now", "description": "The time.", "parameters": {"type": "object"}}
PATCH = {"type": "custom", "name": "patch", "description": "Applies a patch."}
CRM = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [{**NOW, "name": "find"}]}


def call(identifier: str, name: str = "now", arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": identifier, "name": name, "arguments": arguments, **fields}


def output(identifier: str, text: Any = "noon") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": identifier, "output": text}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def parsed(*items: Any, **fields: Any) -> ResponsesRequest:
    body = {"model": "m", "input": list(items) or "Hi", **fields}
    request = parse(ResponsesRequest, json.dumps(body).encode())
    check(request)
    return request


def lowered(*items: Any, **fields: Any) -> Conversation:
    return lower(parsed(*items, **fields))


def refusal(*items: Any, **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as raised:
        lowered(*items, **fields)
    return raised.value.message


@pytest.mark.clause("RSP-3")
def test_an_agents_conversation_keeps_its_turns_its_reasoning_and_the_order_of_its_calls() -> None:
    conversation = lowered(
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "And kind."}]},
        user("What time?"),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sign("Two at once.", shown=False)},
        call("a", arguments='{"z": 1, "a": 2}'),
        {"type": "custom_tool_call", "call_id": "b", "name": "patch", "input": "-a\n+b"},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "done"},
        output("a", [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]),
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Well?"}]},
        {"role": "system", "content": "It is late."},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "One.", "annotations": []}, {"type": "refusal", "refusal": "No."}],
        },
        user("Thanks."),
        instructions="Be brief.",
        tools=[NOW, PATCH],
    )
    assert conversation.dialogue.system == (Text("Be brief."), Text("And kind."))
    assert conversation.dialogue.turns == (
        Turn(Role.USER, (Text("What time?"),)),
        Turn(
            Role.ASSISTANT,
            (
                Thinking("Two at once."),
                ToolCall("a", "now", {"z": 1, "a": 2}),
                ToolCall("b", "patch", {"input": "-a\n+b"}),
            ),
        ),
        Turn(
            Role.USER,
            (ToolResult.of_text("a", "now", "one\ntwo"), ToolResult.of_text("b", "patch", "done"), Text("Well?")),
        ),
        Turn(Role.SYSTEM, (Text("It is late."),)),
        Turn(Role.ASSISTANT, (Text("One."), Text("No."))),
        Turn(Role.USER, (Text("Thanks."),)),
    )


@pytest.mark.clause("RSP-3")
def test_a_text_is_a_message_of_the_user() -> None:
    assert lowered().dialogue.turns == (Turn(Role.USER, (Text("Hi"),)),)


@pytest.mark.clause("RSP-8")
@pytest.mark.parametrize(
    ("item", "thought"),
    [
        ({"encrypted_content": sign("Ours.", shown=False), "content": [{"type": "reasoning_text", "text": "x"}]}, "Ours."),
        ({"encrypted_content": "another server's", "content": [{"type": "reasoning_text", "text": "Text."}]}, "Text."),
        (
            {"encrypted_content": sign("Ours.", shown=False)[:-8], "summary": [{"type": "summary_text", "text": "Short."}]},
            "Short.",
        ),
        ({"summary": [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]}, "One.\n\nTwo."),
    ],
)
def test_reasoning_is_read_from_what_there_is_of_it(item: dict[str, Any], thought: str) -> None:
    turns = lowered(
        user("Hi"), {"type": "reasoning", "summary": [], **item}, {"role": "assistant", "content": "Ho"}, user("So?")
    )
    assert turns.dialogue.turns[1] == Turn(Role.ASSISTANT, (Thinking(thought), Text("Ho")))


def test_reasoning_that_is_not_readable_is_left_out() -> None:
    conversation = lowered(user("Hi"), {"type": "reasoning", "summary": [], "encrypted_content": "x"}, user("So?"))
    assert [turn.content for turn in conversation.dialogue.turns] == [(Text("Hi"),), (), (Text("So?"),)]


@pytest.mark.clause("RSP-3")
def test_images_and_files_are_attachments() -> None:
    image, file = (
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_file", "filename": "a.pdf"},
    )
    content = [image, {**file, "file_data": "data:application/pdf;base64,BBBB"}, {**file, "file_url": "https://a.b/c"}, file]
    conversation = lowered(user(content), call("a"), output("a", [image]), user("So?"), tools=[NOW])
    asked, _, answered = conversation.dialogue.turns
    document = AttachmentKind.DOCUMENT
    assert asked.content == (
        Attachment(AttachmentKind.IMAGE, Inline("AAAA", "image/png"), "input.0.content.0", "image_url"),
        Attachment(document, Inline("BBBB", "application/pdf"), "input.0.content.1", "file_data", title="a.pdf"),
        Attachment(document, Url("https://a.b/c"), "input.0.content.2", "file_url", title="a.pdf"),
        Attachment(document, FileId(""), "input.0.content.3", "file_id", title="a.pdf"),
    )
    [result, _] = answered.content
    assert isinstance(result, ToolResult)
    assert [part.path for part in result.content if isinstance(part, Attachment)] == ["input.2.output.0"]
    assert (conversation.dialogue.attachments, conversation.dialogue.newest) == (5, "input.3.")


def test_sound_is_omitted_with_a_note_or_refused() -> None:
    request = parsed(user([{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]))
    dialogue = lower(request).dialogue
    assert dialogue.turns[0].content == (Text("[audio omitted: this model cannot take it]"),)
    assert dialogue.notes == ("omitted: 1 audio part that the model cannot take",)
    with pytest.raises(InvalidRequest, match=r"input\.0\.content\.0: this model cannot take input_audio"):
        check_strict_input(request)


@pytest.mark.clause("RSP-5", "RSP-6")
def test_tools_of_every_kind_are_offered_under_one_name_each() -> None:
    word = {**PATCH, "name": "word", "format": {"type": "grammar", "syntax": "regex", "definition": "[a-z]+|-"}}
    plain, patch, found, held = lowered(tools=[NOW, PATCH, CRM, word]).dialogue.tools
    assert (plain.name, plain.description, plain.strict) == ("now", "The time.", False)
    assert plain.schema == {"type": "object", "properties": {}}
    assert (patch.name, patch.schema["required"], patch.strict) == ("patch", ["input"], False)
    assert (found.name, found.description) == ("crm__find", "Customers.\n\nThe time.")
    assert held.strict
    assert held.schema["properties"]["input"]["pattern"] == "^(?:[a-z]+|-)$"
    assert held.description == "Applies a patch.\n\nIts input matches this regular expression:\n[a-z]+|-"


def test_a_grammar_is_shown_and_enforced() -> None:
    start = 'start: "a" LF\n%import common.LF'
    [tool] = lowered(tools=[{"type": "custom", "name": "x", "format": {**NESTED, "definition": start}}]).dialogue.tools
    assert tool.strict
    assert tool.description == f"Its input matches this Lark grammar:\n{start}"
    assert tool.schema["properties"]["input"]["pattern"] == r"^(?:a(?:\n))$"


def test_a_call_of_a_namespace_keeps_its_name_in_the_history() -> None:
    turns = lowered(user("Hi"), call("a", "find", namespace="crm"), output("a"), tools=[CRM]).dialogue.turns
    assert turns[1].content == (ToolCall("a", "crm__find", {}),)
    assert turns[2].content == (ToolResult.of_text("a", "crm__find", "noon"),)


@pytest.mark.clause("RSP-5")
@pytest.mark.parametrize(
    ("choice", "policy"),
    [
        (None, ToolPolicy()),
        ("auto", ToolPolicy()),
        ("none", ToolPolicy(ToolChoice.NONE)),
        ("required", ToolPolicy(ToolChoice.ANY)),
        ({"type": "function", "name": "now"}, ToolPolicy(ToolChoice.TOOL, "now")),
        ({"type": "custom", "name": "patch"}, ToolPolicy(ToolChoice.TOOL, "patch")),
        ({"type": "function", "name": "find"}, ToolPolicy(ToolChoice.TOOL, "crm__find")),
        ({"type": "function", "name": "find", "namespace": "crm"}, ToolPolicy(ToolChoice.TOOL, "crm__find")),
    ],
)
def test_every_tool_choice_is_a_policy(choice: Any, policy: ToolPolicy) -> None:
    conversation = lowered(tools=[NOW, PATCH, CRM], tool_choice=choice)
    assert conversation.policy.tool_policy == policy
    assert conversation.policy.tools == conversation.dialogue.tools


@pytest.mark.clause("RSP-5")
def test_allowed_tools_limit_the_calls_and_not_the_prompt() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "patch"}]}
    conversation = lowered(tools=[NOW, PATCH, CRM], tool_choice=allowed, parallel_tool_calls=False)
    assert [tool.name for tool in conversation.policy.tools] == ["patch"]
    assert [tool.name for tool in conversation.dialogue.tools] == ["now", "patch", "crm__find"]
    assert conversation.policy.tool_policy == ToolPolicy(ToolChoice.ANY, parallel=False)


def test_the_answer_is_generated_as_asked_for() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    policy = lowered(
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        reasoning={"effort": "minimal", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "a", "schema": schema}},
    ).policy
    assert (policy.max_tokens, policy.sampling, policy.output) == (7, Sampling(0.5, 0.9), schema)
    assert policy.thinking == ThinkingPolicy(enabled=True, effort="low")
    assert lowered().policy.max_tokens == UNLIMITED
    assert lowered().policy.thinking == ThinkingPolicy(enabled=True)
    assert lowered(reasoning={"effort": "none"}).policy.thinking == ThinkingPolicy()
    assert lowered(text={"format": {"type": "json_object"}}).policy.output == {"type": "object"}


@pytest.mark.clause("RSP-9")
def test_ignored_fields_are_noted() -> None:
    search = {"type": "web_search", "external_web_access": False}
    included = ["reasoning.encrypted_content", "x"]
    conversation = lowered(text={"verbosity": "low"}, truncation="auto", max_tool_calls=3, include=included, tools=[search])
    assert conversation.dialogue.notes == (
        "ignored: the tool web_search, text.verbosity, truncation, max_tool_calls, include x",
    )
    assert conversation.dialogue.tools == ()


def test_known_fields_are_known_and_others_are_named() -> None:
    request = parsed(user([{"type": "input_text", "text": "a", "b": 1}]), client_metadata={"c": "d"}, service_tier="auto", x=1)
    assert list(unknown_fields(request)) == ["x", "input.content.b"]
    with pytest.raises(InvalidRequest, match="x: Extra inputs"):
        check_known(request)


def test_a_count_takes_what_determines_the_prompt() -> None:
    request = parse(CountRequest, json.dumps({"model": "m", "input": "Hi", "instructions": "Be brief."}).encode())
    check(request)
    assert lower(request).dialogue == lowered(instructions="Be brief.").dialogue


NESTED = {"type": "grammar", "syntax": "lark", "definition": 'start: "(" start? ")"'}


@pytest.mark.clause("RSP-4", "RSP-9")
@pytest.mark.parametrize(
    ("items", "fields", "message"),
    [
        ([], {"background": True}, "background: not supported"),
        ([], {"conversation": "conv_1"}, "conversation: not supported"),
        ([], {"prompt": {"id": "p"}}, "prompt: not supported"),
        ([], {"context_management": [{"type": "compaction"}]}, "context_management: not supported"),
        ([], {"moderation": {"model": "m"}}, "moderation: not supported"),
        ([], {"top_logprobs": 21}, "top_logprobs: Input should be less than or equal to 20"),
        ([], {"reasoning": {"mode": "pro"}}, "reasoning.mode: not supported"),
        ([], {"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm: not supported"),
        ([], {"input": []}, "input: must not be empty"),
        ([], {"metadata": {str(number): "" for number in range(17)}}, "metadata: "),
        ([], {"max_output_tokens": 0}, "max_output_tokens: "),
        ([], {"tools": [{"type": "web_search"}]}, "tools.0.type: the tool web_search is not supported"),
        ([], {"tools": [{"type": "mcp", "server_label": "a"}]}, "tools.0.server_url: Field required"),
        ([], {"tools": [NOW, NOW]}, "tools: the name now is used 2 times"),
        ([], {"tools": [{**NOW, "parameters": {"type": "x"}}]}, "tools.0.parameters: JSON schema is invalid"),
        (
            [],
            {"tools": [{**PATCH, "format": NESTED}]},
            "tools.0.format.definition: this grammar cannot be enforced: the rule start",
        ),
        ([], {"tools": [{**PATCH, "format": {**NESTED, "syntax": "regex", "definition": "["}}]}, "tools.0.format.definition: "),
        ([], {"tool_choice": "required"}, "tool_choice: there are no tools"),
        ([], {"tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name: x is not among the tools"),
        ([], {"tools": [NOW], "tool_choice": {"type": "custom", "name": "now"}}, "tool_choice.name: now is not among"),
        ([], {"tool_choice": {"type": "web_search_preview"}}, "tool_choice.type: the tool web_search_preview is not"),
        ([], {"tool_choice": {"type": "function"}}, "tool_choice.name: Field required"),
        (
            [],
            {"tools": [NOW], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
            "tool_choice.tools: must not",
        ),
        ([], {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": 1}}}}, "text.format.schema: JSON"),
        ([{"type": "compaction", "encrypted_content": "x"}], {}, "input.0.encrypted_content: is not a compaction"),
        ([{"type": "item_reference", "id": "msg_1"}], {}, "input.0: there is no stored item msg_1"),
        ([{"content": "a"}], {}, "input.0: Input should be an item"),
        ([{"role": "developer", "content": [{"type": "input_image"}]}], {}, "input.0.content.0: a developer message has text"),
        ([user("a"), output("x")], {}, "input.1.call_id: there is no call x without an output"),
        ([user("a"), call("x")], {}, "input: calls before it have no output: x"),
        ([user("a"), call("x"), call("x")], {}, "input.2.call_id: the id x is that of the call before it"),
        ([user("a"), call("x"), user("b"), call("y")], {}, "input.3: calls before it have no output: x"),
        ([user("a"), call("x"), {"role": "system", "content": "b"}], {}, "input.2: calls before it have no output: x"),
        (
            [call("x"), {**output("x"), "type": "custom_tool_call_output"}],
            {},
            "input.1.type: the call x is one of another type",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(items: list[Any], fields: dict[str, Any], message: str) -> None:
    assert refusal(*items, **fields).startswith(message)


def test_the_number_of_items_is_limited() -> None:
    body = json.dumps({"model": "m", "input": [user("a")] * 3}).encode()
    with pytest.raises(InvalidRequest, match="input: "):
        check(parse(ResponsesRequest, body), Limits(messages=2))
