"""Parsing of requests, and the message for the first problem."""

import json
from typing import Any

import pytest

from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest
from dragoman.api.base import unknown_fields
from dragoman.conversation import Conversation

from .bodies import assistant, body, by_clause, call, error_of, read, result, text, tool, user

EPHEMERAL = {"type": "ephemeral"}
KNOWN_BLOCKS = (
    "'text', 'thinking', 'redacted_thinking', 'tool_use', 'tool_result', 'image', 'document', 'search_result', "
    "'server_tool_use', 'web_search_tool_result', 'web_fetch_tool_result', "
    "'code_execution_tool_result', 'bash_code_execution_tool_result', 'text_editor_code_execution_tool_result', "
    "'tool_search_tool_result', 'container_upload', 'mcp_tool_use', 'mcp_tool_result', 'mcp_tool_listing', "
    "'advisor_tool_result', 'fallback', 'compaction', 'browser_state', 'tool_addition', 'tool_removal'"
)

FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("REQ-1", body(model=...), "model: Field required"),
    ("REQ-1", body(max_tokens=...), "max_tokens: Field required"),
    ("REQ-1", body(messages=...), "messages: Field required"),
    ("REQ-1", body(model=5), "model: Input should be a valid string"),
    ("REQ-1", body(model=None), "model: Input should be a valid string"),
    ("REQ-2", body(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
    ("REQ-2", body(max_tokens="5"), "max_tokens: Input should be a valid integer"),
    ("REQ-2", body(max_tokens=5.5), "max_tokens: Input should be a valid integer"),
    ("REQ-2", body(max_tokens=True), "max_tokens: Input should be a valid integer"),
    ("REQ-2", body(max_tokens=None), "max_tokens: Input should be a valid integer"),
    ("REQ-5", body(messages={}), "messages: Input should be a valid array"),
    ("REQ-6", body({"role": "tool", "content": "x"}), "messages.0.role: Input should be 'user', 'assistant' or 'system'"),
    ("REQ-6", body({"content": "x"}), "messages.0.role: Field required"),
    ("REQ-7", body({"role": "user"}), "messages.0.content: Field required"),
    ("REQ-7", body(user("Hi"), user(text("x"), 5)), "messages.1.content.1: Input should be an object"),
    ("REQ-7", body({"role": "user", "content": 5}), "messages.0.content: Input should be a valid string or a valid list"),
    ("REQ-7", body({"role": "user", "content": None}), "messages.0.content: Input should be a valid string or a valid list"),
    ("IN-1", body(user({"type": "text"})), "messages.0.content.0.text.text: Field required"),
    ("IN-1", body(user(text("x"), text(5))), "messages.0.content.1.text.text: Input should be a valid string"),
    ("IN-13", body(user({"text": "x"})), "messages.0.content.0: Unable to extract tag using discriminator 'type'"),
    (
        "IN-13",
        body(user("Hi"), user(text("x"), {"type": "hologram"})),
        "messages.1.content.1: Input tag 'hologram' found using 'type' does not match any of the expected tags: "
        + KNOWN_BLOCKS,
    ),
    (
        "IN-7",
        body(user("Hi"), assistant(call("no spaces"))),
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (
        "IN-7",
        body(user("Hi"), assistant(call("a") | {"input": "{}"})),
        "messages.1.content.0.tool_use.input: Input should be an object",
    ),
    ("IN-8", body(user(result(5))), "messages.0.content.0.tool_result.tool_use_id: Input should be a valid string"),
    (
        "IN-8",
        body(user(result("a", content=[{"type": "text"}]))),
        "messages.0.content.0.tool_result.content.0.text.text: Field required",
    ),
    (
        "IN-11",
        body(user("Hi"), assistant({"type": "thinking", "thinking": "x"})),
        "messages.1.content.0.thinking.signature: Field required",
    ),
    (
        "IN-11",
        body(user("Hi"), assistant({"type": "redacted_thinking"})),
        "messages.1.content.0.redacted_thinking.data: Field required",
    ),
    (
        "CACHE-3",
        body(user("Hi"), assistant({"type": "thinking", "thinking": "x", "signature": "s", "cache_control": EPHEMERAL})),
        "messages.1.content.0.thinking.cache_control: Input should be null",
    ),
    ("CACHE-1", body(cache_control={"type": "eternal"}), "cache_control.type: Input should be 'ephemeral'"),
    ("CACHE-1", body(cache_control={"type": "ephemeral", "ttl": "2h"}), "cache_control.ttl: Input should be '5m' or '1h'"),
    ("REQ-10", body(system=5), "system: Input should be a valid string or a valid list"),
    ("REQ-10", body(system=[{"type": "image"}]), "system.0.type: Input should be 'text'"),
    ("REQ-13", body(temperature=1.1), "temperature: Input should be less than or equal to 1"),
    ("REQ-13", body(temperature="1"), "temperature: Input should be a valid number"),
    ("REQ-13", body(top_p=-0.1), "top_p: Input should be greater than or equal to 0"),
    ("REQ-13", body(top_k=-1), "top_k: Input should be greater than or equal to 0"),
    ("REQ-14", body(metadata={"user_id": "u" * 257}), "metadata.user_id: String should have at most 256 characters"),
    ("SEQ-3", body(stop_sequences="x"), "stop_sequences: Input should be a valid array"),
    ("TRN-3", body(stream="yes"), "stream: Input should be a valid boolean"),
    (
        "THK-1",
        body(thinking={"type": "deep"}),
        (
            "thinking: Input tag 'deep' found using 'type' does not match any of the expected tags: "
            "'enabled', 'adaptive', 'disabled', 'between_tools'"
        ),
    ),
    ("THK-2", body(thinking={"type": "enabled"}), "thinking.enabled.budget_tokens: Field required"),
    (
        "THK-2",
        body(thinking={"type": "enabled", "budget_tokens": 1023}),
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (
        "THK-8",
        body(thinking={"type": "disabled", "display": "omitted"}),
        "thinking.disabled.display: Input should be null",
    ),
    (
        "THK-14",
        body(output_config={"effort": "extreme"}),
        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
    ("TOOL-1", body(tools=[{"name": "f"}]), "tools.0.custom.input_schema: Field required"),
    ("TOOL-1", body(tools=[{"input_schema": {"type": "object"}}]), "tools.0.custom.name: Field required"),
    ("TOOL-1", body(tools=["f"]), "tools.0: Input should be a valid dictionary"),
    ("TOOL-2", body(tools=[tool(), tool("x" * 129)]), "tools.1.custom.name: String should have at most 128 characters"),
    ("TOOL-2", body(tools=[tool("a b")]), "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ("TOOL-2", body(tools=[tool("")]), "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ("TOOL-2", body(tools=[tool("a\n")]), "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ("TOOL-4", body(tool_choice="auto"), "tool_choice: Input should be an object"),
    ("TOOL-4", body(tools=[tool()], tool_choice={"type": "tool"}), "tool_choice.tool.name: Field required"),
    (
        "TOOL-4",
        body(tool_choice={"type": "must"}),
        (
            "tool_choice: Input tag 'must' found using 'type' does not match any of the expected tags: "
            "'auto', 'any', 'tool', 'none'"
        ),
    ),
]


@pytest.mark.clause("ERR-9")
@pytest.mark.parametrize(("source", "message"), by_clause(FAULTS))
def test_the_error_has_the_path_and_the_reason_of_the_first_problem(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message


@pytest.mark.clause("ERR-1", "ERR-9")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "The request body is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"model": ', "The request body is not valid JSON: EOF while parsing a value at line 1 column 10"),
        (b"\xff", "The request body is not valid JSON: expected value at line 1 column 1"),
        (b"[" * 10_000, "The request body is not valid JSON: recursion limit exceeded at line 1 column 202"),
        (b"[]", "Input should be an object"),
        (b"null", "Input should be an object"),
    ],
    ids=["empty", "cut", "not UTF-8", "too deep", "a list", "null"],
)
def test_the_error_for_a_body_that_is_not_a_json_object_says_so(source: bytes, message: str) -> None:
    assert error_of(source) == message


@pytest.mark.clause("REQ-19", "BETA-4")
def test_a_null_counts_as_an_absent_field() -> None:
    fields = MessagesRequest.model_fields.items()
    optional = [name for name, field in fields if not field.is_required() and name != "messages"]
    assert {"system", "tools", "thinking", "stream", "thread", "container"} < set(optional)
    assert read(body(**dict.fromkeys(optional))) == read(body())


@pytest.mark.clause("REQ-19")
def test_a_null_inside_a_block_counts_as_absent_too() -> None:
    nulls = {"cache_control": None, "citations": None}
    assert read(
        body(
            user(text("Hi", **nulls)),
            assistant(call("a", cache_control=None, caller=None, toolset_name=None)),
            user(result("a", content=None, is_error=None, cache_control=None, toolset_name=None)),
            tools=[tool(type=None, description=None, strict=None, cache_control=None, input_examples=None)],
            metadata={"user_id": None},
            output_config={"effort": None, "format": None, "task_budget": None},
            context_management={"edits": None},
            cache_control={"type": "ephemeral", "ttl": None},
        )
    ) == read(body(user(text("Hi")), assistant(call("a")), user(result("a")), tools=[tool()]))


@pytest.mark.clause("BETA-4", "REQ-14", "REQ-15", "REQ-17", "CACHE-1", "TOOL-1", "CC-2")
def test_fields_that_may_be_ignored_are_accepted_and_have_no_effect() -> None:
    plain = body(user(text("Hi")), tools=[tool()], system=[text("Be brief.")])
    dressed = body(
        user(text("Hi", cache_control={"type": "ephemeral", "ttl": "5m"}, citations=[])),
        system=[text("Be brief.", cache_control={"type": "ephemeral", "ttl": "1h"})],
        tools=[
            tool(
                type="custom",
                strict=False,
                cache_control={"type": "ephemeral", "ttl": "1h"},
                eager_input_streaming=True,
                defer_loading=True,
                allowed_callers=["direct"],
                input_examples=[],
            )
        ],
        metadata={"user_id": "u" * 256},
        service_tier="auto",
        speed="fast",
        inference_geo="eu",
        diagnostics={"previous_message_id": "msg_0"},
        billing_policy="x",
        fallback_credit_token="x",
        user_profile_id="u",
        workspace_id="w",
        betas=["x-2026"],
        output_config={"task_budget": {"type": "tokens", "total": 5}},
        context_management={"edits": [{"type": "clear_tool_uses_20250919", "keep": {"type": "tool_uses", "value": 3}}]},
        cache_control=EPHEMERAL,
    )
    assert read(dressed) == read(plain)


@pytest.mark.clause("BETA-2", "IN-13")
def test_unknown_fields_are_accepted_and_listed_by_their_paths() -> None:
    source = body(
        user(text("Hi", colour="red"), text("x", colour="blue")),
        assistant({"type": "text", "text": "y", "reasoning_details": []}),
        user("Go on") | {"name": "Ann"},
        tools=[tool(schema={"type": "object", "x-ui": 1}, parallel=1)],
        thinking={"type": "adaptive", "depth": 3},
        mystery={"a": {"b": 1}},
    )
    assert error_of(source) == ""
    assert sorted(set(unknown_fields(MessagesRequest.model_validate_json(json.dumps(source))))) == [
        "messages.content.colour",
        "messages.content.reasoning_details",
        "messages.name",
        "mystery",
        "thinking.depth",
        "tools.parallel",
    ]


def test_a_body_of_known_fields_has_no_unknown_ones() -> None:
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}, "caller": {"type": "direct"}}
    request = MessagesRequest.model_validate_json(
        json.dumps(body(user("Hi"), assistant(used), system=[text("s")], tools=[tool()], metadata={"user_id": "u"}))
    )
    assert list(unknown_fields(request)) == []


@pytest.mark.clause("REQ-5")
def test_a_request_has_at_most_a_hundred_thousand_messages() -> None:
    messages = b",".join([json.dumps(user("x")).encode()] * 100_001)
    assert error_of(b'{"model": "m", "max_tokens": 1, "messages": [' + messages + b"]}") == (
        "messages: List should have at most 100000 items after validation, not 100001"
    )


@pytest.mark.clause("CNT-1", "CNT-3", "CNT-4")
@pytest.mark.parametrize("fields", [{"max_tokens": ...}, {}, {"max_tokens": None}, {"stream": True}])
def test_counting_accepts_the_body_of_a_messages_request_with_or_without_its_own_fields(fields: dict[str, Any]) -> None:
    conversation = read(body(**fields), CountTokensRequest)
    assert conversation == Conversation(read(body()).dialogue)


@pytest.mark.clause("CNT-3")
def test_counting_has_the_same_errors() -> None:
    source = body(user("Hi"), assistant(call("a")), max_tokens=...)
    assert error_of(source, CountTokensRequest) == error_of(source | {"max_tokens": 5})
    assert error_of(source, CountTokensRequest)
