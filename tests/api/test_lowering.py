"""Lowering of Messages API requests to conversations."""

import json
from typing import Any

import pytest

from dragoman.api.anthropic.defined_tools import DEFINED
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest
from dragoman.conversation import (
    AnswerPolicy,
    Conversation,
    Dialogue,
    Role,
    Sampling,
    Text,
    Thinking,
    ThinkingDisplay,
    ThinkingPolicy,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
)
from dragoman.conversation.signature import sign


def _lower(**fields: Any) -> Conversation:
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]} | fields
    return lower(MessagesRequest.model_validate_json(json.dumps(body)))


def _content(*blocks: dict[str, Any], role: str = "assistant") -> tuple[object, ...]:
    turns = _lower(messages=[{"role": "user", "content": "Hi"}, {"role": role, "content": list(blocks)}]).dialogue.turns
    return tuple(turns[-1].content)


@pytest.mark.clause("REQ-6", "REQ-10", "IN-1", "IN-7", "IN-8", "IN-11", "TOOL-1", "CACHE-1", "CC-2")
def test_a_request_with_every_type_of_block_becomes_this_conversation() -> None:
    schema = {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}, "required": ["z"]}
    tools = (Tool("read", "Reads.", schema), Tool("now", "", {"type": "object"}))
    cached = {"cache_control": {"type": "ephemeral"}}
    assert _lower(
        system=[{"type": "text", "text": "You help.", **cached}, {"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "user", "content": [{"type": "text", "text": "there"}, {"type": "text", "text": "!", **cached}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "a", "name": "read", "input": {"z": "1", "a": 2}, "caller": {"type": "direct"}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "b", "name": "now", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}],
                    },
                    {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": "no clock"},
                ],
            },
            {"role": "system", "content": "Speak French."},
            {"role": "system", "content": [{"type": "text", "text": "Or not."}]},
        ],
        tools=[
            {"name": "read", "description": "Reads.", "input_schema": schema},
            {"name": "now", "input_schema": {"type": "object"}},
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
        output_config={"effort": "low"},
        temperature=1,
        top_p=0.5,
        top_k=40,
        stop_sequences=["END", "\n\n"],
        max_tokens=2048,
    ) == Conversation(
        Dialogue(
            system=(Text("You help."), Text("Be brief.")),
            turns=(
                Turn(Role.USER, (Text("Hi"), Text("there"), Text("!"))),
                Turn(
                    Role.ASSISTANT,
                    (Thinking("Hm."), Text("I look."), ToolCall("a", "read", {"z": "1", "a": 2}), ToolCall("b", "now", {})),
                ),
                Turn(
                    Role.USER,
                    (ToolResult.of_text("a", "read", "x\ny"), ToolResult.of_text("b", "now", "no clock", is_error=True)),
                ),
                Turn(Role.SYSTEM, (Text("Speak French."), Text("Or not."))),
            ),
            tools=tools,
        ),
        AnswerPolicy(
            tools=tools,
            tool_policy=ToolPolicy(ToolChoice.AUTO, None, parallel=False),
            thinking=ThinkingPolicy(enabled=True, budget=1024, display=ThinkingDisplay.FULL, effort="low"),
            sampling=Sampling(1.0, 0.5, 40),
            stop_sequences=("END", "\n\n"),
            max_tokens=2048,
        ),
    )


@pytest.mark.clause("REQ-1", "TOOL-4", "THK-1")
def test_a_minimal_request_has_the_defaults() -> None:
    assert _lower() == Conversation(Dialogue((Turn(Role.USER, (Text("Hi"),)),)), AnswerPolicy(max_tokens=16))


@pytest.mark.clause("REQ-7")
def test_a_string_is_the_same_as_one_block_of_text() -> None:
    blocks = [{"type": "text", "text": "Hi"}]
    assert _lower(messages=[{"role": "user", "content": blocks}], system=blocks) == _lower(system="Hi")


@pytest.mark.clause("REQ-10")
@pytest.mark.parametrize("system", ["", [], [{"type": "text", "text": ""}], None], ids=repr)
def test_an_empty_system_prompt_is_left_out(system: object) -> None:
    assert _lower(system=system) == _lower()


@pytest.mark.clause("REQ-7", "PRE-1")
@pytest.mark.parametrize("content", ["", []], ids=repr)
def test_an_empty_final_assistant_message_is_an_empty_turn(content: object) -> None:
    turns = _lower(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]).dialogue.turns
    assert turns == (Turn(Role.USER, (Text("Hi"),)), Turn(Role.ASSISTANT, ()))


@pytest.mark.clause("TOOL-1", "CACHE-4")
def test_the_keys_of_schemas_and_inputs_keep_the_order_they_came_in() -> None:
    conversation = _lower(
        messages=[
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"z": 1, "a": {"y": 1, "b": 2}}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ],
        tools=[{"name": "f", "input_schema": {"type": "object", "required": [], "properties": {"z": {}, "a": {}}}}],
    )
    (call,) = conversation.dialogue.turns[1].content
    assert isinstance(call, ToolCall)
    assert json.dumps([call.input, conversation.dialogue.tools[0].schema]) == (
        '[{"z": 1, "a": {"y": 1, "b": 2}}, {"type": "object", "required": [], "properties": {"z": {}, "a": {}}}]'
    )


@pytest.mark.clause("THK-9", "IN-11")
@pytest.mark.parametrize(
    ("block", "content"),
    [
        ({"thinking": "Hm.", "signature": sign("Hm.", shown=True)}, (Thinking("Hm."),)),
        ({"thinking": "", "signature": sign("Hm.", shown=False)}, (Thinking("Hm."),)),
        ({"thinking": "Hm.", "signature": "EqQBCkYIAhgCKkBsomebodyelse"}, (Thinking("Hm."),)),
        ({"thinking": "Hm.", "signature": ""}, (Thinking("Hm."),)),
        ({"thinking": "", "signature": "EqQBCkYIAhgCKkBsomebodyelse"}, ()),
        ({"thinking": "", "signature": sign("Hm.", shown=True)}, ()),
    ],
    ids=["shown", "not shown", "foreign", "unsigned", "foreign and not shown", "emptied by the client"],
)
def test_reasoning_is_the_shown_text_or_that_in_its_signature(block: dict[str, Any], content: tuple[object, ...]) -> None:
    assert _content({"type": "thinking", **block}) == content


@pytest.mark.clause("IN-11")
def test_redacted_reasoning_is_accepted_and_left_out() -> None:
    assert _content({"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "y"}) == (Text("y"),)


@pytest.mark.clause("IN-8")
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (..., ""),
        (None, ""),
        ("", ""),
        ([], ""),
        ("x", "x"),
        ([{"type": "text", "text": ""}], ""),
        ([{"type": "text", "text": "x"}, {"type": "text", "text": "y"}], "x\ny"),
    ],
    ids=repr,
)
def test_an_empty_result_is_a_result(content: object, text: str) -> None:
    block = {"type": "tool_result", "tool_use_id": "a"} | ({} if content is ... else {"content": content})
    assert _content(block, role="user")[-1] == ToolResult.of_text("a", "", text)


@pytest.mark.clause("IN-12")
def test_blocks_of_another_servers_tools_become_text() -> None:
    """Every type of block, as that server sends it."""
    used = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tides", "id": 5}}
    hit = {"type": "web_search_result", "title": "Tides", "url": "https://tides", "encrypted_content": "Zm9v", "page_age": None}
    page = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "High."}, "title": "Tides"}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}
    ran = {"type": "bash_code_execution_result", "stdout": "ü\n", "stderr": "", "return_code": 0, "content": []}

    def fetched(content: dict[str, object]) -> dict[str, object]:
        return {"type": "web_fetch_result", "url": "https://tides", "content": content, "retrieved_at": "2026-11-01T00:00:00Z"}

    blocks = {
        "server_tool_use": (used, '{"name": "web_search", "input": {"query": "tides", "id": 5}}'),
        "web_search_tool_result": ({"content": [hit]}, '[{"title": "Tides", "url": "https://tides"}]'),
        "web_fetch_tool_result": (
            {"content": fetched(page)},
            '{"url": "https://tides", "content": {"source": {"media_type": "text/plain", "data": "High."}, "title": "Tides"}}',
        ),
        "code_execution_tool_result": (
            {"content": fetched(pdf)},
            '{"url": "https://tides", "content": {"source": {"media_type": "application/pdf", "data": "[omitted]"}}}',
        ),
        "bash_code_execution_tool_result": (
            {"content": ran},
            '{"stdout": "ü\\n", "stderr": "", "return_code": 0, "content": []}',
        ),
        "mcp_tool_result": ({"content": "It is high.", "is_error": False}, '{"content": "It is high.", "is_error": false}'),
        "container_upload": ({"file_id": "file_1"}, '{"file_id": "file_1"}'),
    }
    for kind, (fields, words) in blocks.items():
        block = {"tool_use_id": "srvtoolu_1", **fields, "type": kind, "cache_control": {"type": "ephemeral"}}
        assert _content(block, role="assistant") == (Text(f"<{kind}>\n{words}\n</{kind}>"),)


@pytest.mark.clause("IN-12")
def test_blocks_without_information_for_a_model_are_left_out() -> None:
    marks = [
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}, "trigger": None},
        {"type": "mcp_tool_listing", "mcp_server_name": "s", "tools": []},
        {"type": "compaction", "content": None},
    ]
    assert _content({"type": "text", "text": "x"}, *marks, role="assistant") == (Text("x"),)


@pytest.mark.clause("IN-8")
def test_the_state_of_a_browser_is_shown_as_json() -> None:
    state = {"type": "browser_state", "tabs": [{"url": "https://example.com", "active": True}]}
    shown = '<browser_state>\n{"tabs": [{"url": "https://example.com", "active": true}]}\n</browser_state>'
    *_, result = _content({"type": "tool_result", "tool_use_id": "a", "content": [state]}, role="user")
    assert isinstance(result, ToolResult)
    assert result.text == shown


@pytest.mark.clause("TOOL-4", "TOOL-7", "TOOL-9")
@pytest.mark.parametrize(
    ("choice", "policy"),
    [
        (None, ToolPolicy()),
        ({"type": "auto"}, ToolPolicy(ToolChoice.AUTO)),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolPolicy(ToolChoice.AUTO)),
        ({"type": "any"}, ToolPolicy(ToolChoice.ANY)),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolPolicy(ToolChoice.ANY, parallel=False)),
        ({"type": "tool", "name": "f"}, ToolPolicy(ToolChoice.TOOL, "f")),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": True}, ToolPolicy(ToolChoice.TOOL, "f", parallel=False)),
        ({"type": "none"}, ToolPolicy(ToolChoice.NONE)),
    ],
)
def test_a_tool_choice_becomes_this_policy(choice: dict[str, Any] | None, policy: ToolPolicy) -> None:
    assert _lower(tool_choice=choice).policy.tool_policy == policy


@pytest.mark.clause("THK-1", "THK-3", "THK-8", "THK-14")
@pytest.mark.parametrize(
    ("thinking", "policy"),
    [
        (None, ThinkingPolicy()),
        ({"type": "disabled"}, ThinkingPolicy()),
        ({"type": "adaptive"}, ThinkingPolicy(enabled=True)),
        ({"type": "adaptive", "display": "omitted"}, ThinkingPolicy(enabled=True, display=ThinkingDisplay.OMITTED)),
        ({"type": "adaptive", "display": "updates"}, ThinkingPolicy(enabled=True, display=ThinkingDisplay.FULL)),
        ({"type": "enabled", "budget_tokens": 4096}, ThinkingPolicy(enabled=True, budget=4096)),
    ],
)
def test_a_thinking_field_becomes_this_policy(thinking: dict[str, Any] | None, policy: ThinkingPolicy) -> None:
    assert _lower(thinking=thinking).policy.thinking == policy


@pytest.mark.clause("THK-14")
def test_effort_is_kept_without_thinking_too() -> None:
    assert _lower(output_config={"effort": "max"}).policy.thinking == ThinkingPolicy(effort="max")


@pytest.mark.clause("CNT-1", "CNT-2")
def test_a_count_request_is_the_same_conversation_without_generation() -> None:
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]}
    assert lower(CountTokensRequest.model_validate_json(json.dumps(body))) == Conversation(_lower().dialogue)


SEARCH, FETCH = ({"name": name, "description": name, "input_schema": {"type": "object"}} for name in ("ToolSearch", "fetch"))
FOUND = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "ToolSearch", "input": {}}]},
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [{"type": "tool_reference", "tool_name": name} for name in ("fetch", "lost")],
            }
        ],
    },
]


@pytest.mark.clause("TOOL-12")
def test_a_deferred_tool_is_described_in_the_result_that_found_it_and_not_at_the_top() -> None:
    before, after = (
        _lower(tools=tools, messages=messages)
        for tools, messages in (([SEARCH], FOUND[:1]), ([FETCH | {"defer_loading": True}, SEARCH], FOUND))
    )
    assert before.dialogue.tools == after.dialogue.tools
    assert list(after.policy.schemas) == ["ToolSearch", "fetch"]
    assert after.dialogue.turns[-1].content == (
        ToolResult.of_text(
            "a",
            "ToolSearch",
            '<function>{"name": "fetch", "description": "fetch", "parameters": {"type": "object"}}</function>\n'
            "The tool lost is no longer available.",
        ),
    )


@pytest.mark.clause("TOOL-12")
def test_deferred_tools_that_nothing_can_find_are_listed_after_the_others() -> None:
    other = FETCH | {"name": "other"}
    assert [tool.name for tool in _lower(tools=[FETCH | {"defer_loading": True}, other]).dialogue.tools] == ["other", "fetch"]
    assert [tool.name for tool in _lower(tools=[FETCH | {"defer_loading": True}, SEARCH]).dialogue.tools] == ["ToolSearch"]
    assert [tool.name for tool in _lower(tools=[FETCH | {"defer_loading": True}, other], messages=FOUND).dialogue.tools] == [
        "other"
    ]


@pytest.mark.clause("IN-10")
def test_results_are_sorted_by_the_order_of_their_calls() -> None:
    calls: list[dict[str, Any]] = [{"type": "tool_use", "id": name, "name": name, "input": {}} for name in ("a", "b", "c")]
    results = [{"type": "tool_result", "tool_use_id": name, "content": name} for name in ("c", "a", "b")]
    last = {"role": "user", "content": [*results, {"type": "text", "text": "Go on."}]}
    turns = _lower(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": calls}, last]).dialogue.turns
    assert turns[-1].content == (*(ToolResult.of_text(name, name, name) for name in ("a", "b", "c")), Text("Go on."))


@pytest.mark.clause("TOOL-12", "CACHE-4")
@pytest.mark.parametrize(("words", "head"), [("Reads.", "Reads.\n\n"), (None, "")])
def test_examples_follow_the_description_unchanged(words: str | None, head: str) -> None:
    examples = [{"z": "Grüße", "a": 1}, {}]
    (tool,) = _lower(
        tools=[{"name": "f", "description": words, "input_schema": {"type": "object"}, "input_examples": examples}]
    ).dialogue.tools
    assert tool.description == head + 'Examples of its input:\n{"z": "Grüße", "a": 1}\n{}'
    assert (
        _lower(tools=[{"name": "f", "input_schema": {"type": "object"}, "input_examples": []}]).dialogue.tools[0].description
        == ""
    )


@pytest.mark.clause("TOOL-14")
@pytest.mark.parametrize("kind", DEFINED)
def test_a_tool_that_anthropic_defines_is_lowered_like_any_other(kind: str) -> None:
    name, words, schema = DEFINED[kind]
    (tool,) = _lower(
        tools=[{"type": kind, "name": name, "strict": True, "cache_control": {"type": "ephemeral"}}]
    ).dialogue.tools
    assert tool == Tool(name, words, schema, strict=True)


@pytest.mark.clause("TOOL-14")
def test_the_description_says_how_much_of_a_file_is_shown() -> None:
    editor = {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}
    assert _lower(tools=[editor | {"max_characters": 10_000}]).dialogue.tools[0].description == (
        DEFINED["text_editor_20250728"].description + " A `view` shows at most 10000 characters."
    )
