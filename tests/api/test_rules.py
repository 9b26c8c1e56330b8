"""The rules across fields, each with the wording that clients match."""

import json
from time import process_time
from typing import Any

import pytest

from dragoman.api.anthropic import rules
from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest
from dragoman.conversation import ToolResult
from dragoman.errors import InvalidRequest, ThreadsUnsupported

from .bodies import assistant, body, by_clause, call, error_of, read, result, system, text, tool, user

EMPTY = "all messages must have non-empty content except for the optional final assistant message"
BLANK = "messages: text content blocks must contain non-whitespace text"
SHORT, LONG = {"type": "ephemeral", "ttl": "5m"}, {"type": "ephemeral", "ttl": "1h"}
THINKING = {"type": "enabled", "budget_tokens": 1024}
TTL = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the "
    "following order: `tools`, `system`, `messages`."
)


def unanswered(*identifiers: str) -> str:
    return (
        f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(identifiers)}. Each `tool_use` "
        "block must have a corresponding `tool_result` block in the next message."
    )


def unexpected(identifier: str) -> str:
    return (
        f"unexpected `tool_use_id` found in `tool_result` blocks: {identifier}. Each `tool_result` block must have a "
        "corresponding `tool_use` block in the previous message."
    )


TURNS: list[tuple[str, list[dict[str, Any]], str]] = [
    ("no message", [], "messages: at least one message is required"),
    ("an empty user message", [user("")], f"messages.0: {EMPTY}"),
    ("a user message of no blocks", [user("Hi"), assistant("x"), user()], f"messages.2: {EMPTY}"),
    ("an empty assistant message in the middle", [user("Hi"), assistant(""), user("Go on")], f"messages.1: {EMPTY}"),
    ("an empty assistant message at the end", [user("Hi"), assistant("")], ""),
    ("an assistant message of no blocks at the end", [user("Hi"), assistant()], ""),
    ("an empty text block", [user(text("Hi"), text(""))], "messages: text content blocks must be non-empty"),
    ("a blank text block", [user(text(" \n\t"))], BLANK),
    ("a blank string", [user(" ")], BLANK),
    ("a blank string of the assistant's", [user("Hi"), assistant(" "), user("x")], BLANK),
    ("a prefill that ends in space", [user("Hi"), assistant("I say ")], ""),
    ("a leading assistant message", [assistant("Hello!"), user("Hi")], ""),
    ("neighbours of one role", [user("a"), user("b"), assistant("c"), assistant("d"), user("e")], ""),
]

SYSTEM: list[tuple[str, list[dict[str, Any]], str]] = [
    ("at the end", [user("Hi"), system("Be brief.")], ""),
    ("in front of the assistant", [user("Hi"), system("Be brief."), assistant("x"), user("y")], ""),
    ("several in a row", [user("Hi"), system("a"), system(text("b")), assistant("x")], ""),
    ("after results", [user("Hi"), assistant(call("a")), user(result("a")), system("s")], ""),
    ("first", [system("s"), user("Hi")], "messages.0: role 'system' must follow a 'user' message"),
    (
        "after the assistant",
        [user("Hi"), assistant("x"), system("s")],
        "messages.2: role 'system' must follow a 'user' message",
    ),
    (
        "in front of the user",
        [user("Hi"), system("s"), user("y")],
        "messages.1: role 'system' must precede an 'assistant' message or end the array",
    ),
    (
        "between a call and its result",
        [user("Hi"), assistant(call("a")), system("s"), user(result("a"))],
        "messages.2: role 'system' must follow a 'user' message",
    ),
    (
        "between the results of two calls",
        [user("Hi"), assistant(call("a"), call("b")), user(result("a")), system("s"), user(result("b"))],
        "messages.3: role 'system' must precede an 'assistant' message or end the array",
    ),
    (
        "in front of a result that is still to come",
        [user("Hi"), assistant(call("a"), call("b")), user(result("a")), system("s")],
        f"messages.1: {unanswered('b')}",
    ),
    ("blank", [user("Hi"), system(" ")], BLANK),
    ("empty", [user("Hi"), system("")], f"messages.1: {EMPTY}"),
    (
        "with a result in it",
        [user("Hi"), system(text("s"), result("a"))],
        "messages.1.content.1: system messages may hold text blocks only",
    ),
]

CALLS: list[tuple[str, list[dict[str, Any]], str]] = [
    ("one call, answered", [user("Hi"), assistant(call("a")), user(result("a"))], ""),
    ("two calls, answered out of order", [user("Hi"), assistant(call("a"), call("b")), user(result("b"), result("a"))], ""),
    (
        "two calls, answered in two messages",
        [user("Hi"), assistant(call("a"), call("b")), user(result("a")), user(result("b"), text("Go on"))],
        "",
    ),
    (
        "two calls in two messages, answered in two messages",
        [user("Hi"), assistant(text("x"), call("a")), assistant(call("b")), user(result("a")), user(result("b"))],
        "",
    ),
    ("text after the results", [user("Hi"), assistant(call("a")), user(result("a"), text("x"), text("y"))], ""),
    ("an unanswered call at the end", [user("Hi"), assistant(call("a"))], f"messages.1: {unanswered('a')}"),
    ("no answer", [user("Hi"), assistant(call("a")), user("x")], f"messages.1: {unanswered('a')}"),
    (
        "one answer to three calls",
        [user("Hi"), assistant(call("a"), call("b"), call("c")), user(result("b"))],
        f"messages.1: {unanswered('a', 'c')}",
    ),
    (
        "an answer too late",
        [user("Hi"), assistant(call("a")), user("x"), assistant("y"), user(result("a"))],
        f"messages.1: {unanswered('a')}",
    ),
    (
        "words in front of the result",
        [user("Hi"), assistant(call("a")), user(text("x"), result("a"))],
        f"messages.1: {unanswered('a')}",
    ),
    (
        "words between the results",
        [user("Hi"), assistant(call("a"), call("b")), user(result("a"), text("x"), result("b"))],
        f"messages.1: {unanswered('b')}",
    ),
    (
        "words between the messages of results",
        [user("Hi"), assistant(call("a"), call("b")), user(result("a")), user("x"), user(result("b"))],
        f"messages.1: {unanswered('b')}",
    ),
    (
        "the second of two assistant messages unanswered",
        [user("Hi"), assistant("x"), assistant(call("a")), user("y")],
        f"messages.2: {unanswered('a')}",
    ),
    ("a result without a call", [user(result("a"))], f"messages.0.content.0: {unexpected('a')}"),
    ("an answer to words", [user("Hi"), assistant("x"), user(result("a"))], f"messages.2.content.0: {unexpected('a')}"),
    (
        "an answer to another call",
        [user("Hi"), assistant(call("a")), user(result("a"), result("b"))],
        f"messages.2.content.1: {unexpected('b')}",
    ),
    (
        "an answer to a call of an earlier turn",
        [user("Hi"), assistant(call("a")), user(result("a")), assistant("x"), user(result("a"))],
        f"messages.4.content.0: {unexpected('a')}",
    ),
    (
        "two answers to one call",
        [user("Hi"), assistant(call("a")), user(result("a"), result("a"))],
        "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks: a",
    ),
    (
        "one id twice in a turn",
        [user("Hi"), assistant(call("a"), call("a")), user(result("a"))],
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    (
        "one id twice in a conversation",
        [user("Hi"), assistant(call("a")), user(result("a")), assistant(text("x"), call("a")), user(result("a"))],
        "messages.3.content.1: `tool_use` ids must be unique",
    ),
    ("a call of the user's", [user(call("a"))], "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages"),
    (
        "a result of the assistant's",
        [user("Hi"), assistant(text("x"), result("a"))],
        "messages.1.content.1: `tool_result` blocks can only be in `user` messages",
    ),
]


@pytest.mark.clause("REQ-5", "REQ-6", "REQ-7", "REQ-8", "REQ-9", "PRE-1", "PRE-3")
@pytest.mark.parametrize(("messages", "message"), [case[1:] for case in TURNS], ids=[case[0] for case in TURNS])
def test_messages_have_to_follow_the_rules_of_the_api(messages: list[dict[str, Any]], message: str) -> None:
    assert error_of(body(messages=messages)) == message


@pytest.mark.clause("REQ-11")
@pytest.mark.parametrize(("messages", "message"), [case[1:] for case in SYSTEM], ids=[case[0] for case in SYSTEM])
def test_a_system_message_is_allowed_in_these_places(messages: list[dict[str, Any]], message: str) -> None:
    assert error_of(body(messages=messages)) == message


@pytest.mark.clause("IN-7", "IN-9", "IN-10", "TOOL-8")
@pytest.mark.parametrize(("messages", "message"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_every_call_has_one_result_in_the_next_message(messages: list[dict[str, Any]], message: str) -> None:
    assert error_of(body(messages=messages)) == message


@pytest.mark.clause("IN-7", "IN-9")
@pytest.mark.parametrize("calls_per_message", [20_000, 1], ids=["one message", "a message each"])
def test_the_results_of_very_many_calls_are_checked_in_linear_time(calls_per_message: int) -> None:
    start = process_time()
    calls = [call(f"c{number}") for number in range(20_000)]
    messages = [assistant(*calls[begin : begin + calls_per_message]) for begin in range(0, len(calls), calls_per_message)]
    results = [result(f"c{number}") for number in reversed(range(20_000))]
    lowered = read(body(user("Hi"), *messages, user(*results)))
    assert [part.call_id for part in lowered.dialogue.turns[-1].content if isinstance(part, ToolResult)] == [
        part["id"] for part in calls
    ]
    assert process_time() - start < 6  # a search through the open calls per result takes longer


@pytest.mark.clause("IN-8")
@pytest.mark.parametrize("content", [..., None, "", [], "x", [text("x")], [text("x"), text("y")]], ids=repr)
def test_a_result_with_any_content_or_none_is_valid(content: object) -> None:
    fields = {} if content is ... else {"content": content}
    assert error_of(body(user("Hi"), assistant(call("a")), user(result("a", **fields)))) == ""


TOOLS: list[tuple[str, dict[str, Any], str]] = [
    ("TOOL-10", body(user("Hi"), assistant(call("a")), user(result("a"))), ""),
    ("TOOL-2", body(tools=[tool("a"), tool("b"), tool("a")]), "tools: Tool names must be unique."),
    ("TOOL-3", body(tools=[tool(schema={"properties": {}})]), "tools.0.custom.input_schema.type: Field required"),
    ("TOOL-3", body(tools=[tool(schema={"type": "array"})]), "tools.0.custom.input_schema.type: Input should be 'object'"),
    *(
        (
            "TOOL-3",
            body(tools=[tool("a"), tool(schema={"type": "object", key: []})]),
            "tools.1.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
        )
        for key in ("oneOf", "allOf", "anyOf")
    ),
    (
        "TOOL-3",
        body(tools=[tool(schema={"type": "object", "properties": {"a": {"type": "text"}}})]),
        (
            "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12. properties.a.type: "
            "\"text\" is not valid under any of the schemas listed in the 'anyOf' keyword"
        ),
    ),
    ("TOOL-3", body(tools=[tool(schema={"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"})]), ""),
    ("TOOL-3", body(tools=[tool(schema={"type": "object", "$schema": "http://nowhere.test/mine"})]), ""),
    ("TOOL-3", body(tools=[tool(schema={"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}}})]), ""),
    ("TOOL-3", body(tools=[tool(schema={"type": "object", "maxProperties": 10**30, "title": "\U0001f98a\x00"})]), ""),
    ("TOOL-6", body(tool_choice={"type": "any"}), "tool_choice: any needs `tools`, but there are none"),
    (
        "TOOL-6",
        body(tool_choice={"type": "tool", "name": "f"}, tools=[]),
        "tool_choice: tool needs `tools`, but there are none",
    ),
    (
        "TOOL-6",
        body(tool_choice={"type": "tool", "name": "g"}, tools=[tool()]),
        "tool_choice: Tool 'g' not found in provided tools",
    ),
    ("TOOL-4", body(tool_choice={"type": "tool", "name": "f"}, tools=[tool()]), ""),
    ("TOOL-4", body(tool_choice={"type": "none"}), ""),
    ("TOOL-11", body(tools=[tool(strict=True)]), ""),
]


@pytest.mark.clause("BETA-4")
@pytest.mark.parametrize(("source", "message"), by_clause(TOOLS))
def test_tools_and_the_tool_choice_have_to_match(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message


def _marked(*controls: dict[str, Any]) -> dict[str, Any]:
    """One tool, two system blocks and one user block, each with the given breakpoint."""
    on_tool, *on_others = [{"cache_control": control} if control else {} for control in controls]
    first, second, third = (text("x", **control) for control in on_others)
    return body(user(third), tools=[tool(**on_tool)], system=[first, second])


BREAKPOINTS = [
    (_marked(LONG, LONG, SHORT, SHORT), ""),
    (_marked(LONG, {"type": "ephemeral"}, {}, SHORT), ""),
    (_marked(SHORT, LONG, {}, {}), f"system.0.cache_control.ttl: {TTL}"),
    (_marked({"type": "ephemeral"}, {}, {}, LONG), f"messages.0.content.0.cache_control.ttl: {TTL}"),
    (
        _marked(SHORT, SHORT, SHORT, SHORT) | {"cache_control": SHORT},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        body(user(*(text("x", cache_control=SHORT) for _ in range(6)))),
        "A maximum of 4 blocks with cache_control may be provided. Found 6.",
    ),
    (
        body(
            user("Hi"),
            assistant(call("a", cache_control=SHORT)),
            user(result("a", cache_control=SHORT, content=[text("x", cache_control=LONG)])),
        ),
        f"messages.2.content.0.content.0.cache_control.ttl: {TTL}",
    ),
]


@pytest.mark.clause("CACHE-1", "CACHE-2", "CACHE-3")
@pytest.mark.parametrize(("source", "message"), BREAKPOINTS)
def test_there_are_at_most_four_breakpoints_and_long_ones_come_first(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message


THOUGHTS: list[tuple[str, dict[str, Any], str]] = [
    ("THK-2", body(thinking=THINKING, max_tokens=1025), ""),
    ("THK-2", body(thinking=THINKING, max_tokens=1024), "`max_tokens` must be greater than `thinking.budget_tokens`."),
    (
        "THK-12",
        body(thinking=THINKING, tools=[tool()], tool_choice={"type": "any"}),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (
        "THK-12",
        body(thinking=THINKING, tools=[tool()], tool_choice={"type": "tool", "name": "f"}),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    ("THK-12", body(thinking=THINKING, tools=[tool()], tool_choice={"type": "auto"}), ""),
    ("THK-12", body(thinking=THINKING, temperature=0.5), "`temperature` may only be set to 1 when thinking is enabled."),
    ("THK-12", body(thinking=THINKING, temperature=0), "`temperature` may only be set to 1 when thinking is enabled."),
    ("THK-12", body(thinking=THINKING, temperature=1), ""),
    (
        "THK-12",
        body(user("Hi"), assistant("So"), thinking=THINKING),
        "The final message may not be a prefilled `assistant` message when thinking is enabled.",
    ),
    ("THK-3", body(user("Hi"), assistant("So"), thinking={"type": "adaptive"}, temperature=0.5, max_tokens=1), ""),
    ("THK-1", body(user("Hi"), assistant("So"), thinking={"type": "disabled"}, temperature=0.5), ""),
]


@pytest.mark.parametrize(("source", "message"), by_clause(THOUGHTS))
def test_a_thinking_budget_limits_other_fields_and_adaptive_thinking_does_not(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message


@pytest.mark.clause("THK-2", "THK-13")
def test_an_interleaved_thinking_budget_may_exceed_max_tokens() -> None:
    assert error_of(body(thinking=THINKING, max_tokens=5), MessagesRequest, "interleaved-thinking-2025-05-14") == ""


@pytest.mark.clause("THK-2", "CNT-1")
def test_counting_has_no_limit_for_a_thinking_budget() -> None:
    assert error_of(body(thinking=THINKING, max_tokens=...), CountTokensRequest) == ""


@pytest.mark.clause("SEQ-3")
@pytest.mark.parametrize(
    ("stops", "message"),
    [
        (["x", ""], "stop_sequences: each stop sequence must be non-empty"),
        (["x", " \n"], "stop_sequences: each stop sequence must contain non-whitespace"),
        ([" x "], ""),
        ([], ""),
    ],
)
def test_a_stop_sequence_has_visible_characters(stops: list[str], message: str) -> None:
    assert error_of(body(stop_sequences=stops)) == message


@pytest.mark.clause("REQ-3")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stream": True}, "`stream`"),
        ({"tools": [tool()], "tool_choice": {"type": "any"}}, "`tool_choice` of type any"),
        ({"tools": [tool()], "tool_choice": {"type": "tool", "name": "f"}}, "`tool_choice` of type tool"),
    ],
)
def test_prewarming_excludes_fields_that_shape_an_answer(fields: dict[str, Any], reason: str) -> None:
    assert error_of(body(max_tokens=0, **fields)) == f"max_tokens: 0 cannot be combined with {reason}"
    assert error_of(body(max_tokens=0, stream=False)) == ""


@pytest.mark.clause("REQ-3", "THK-2")
def test_prewarming_excludes_thinking() -> None:
    assert error_of(body(max_tokens=0, thinking=THINKING)) == "`max_tokens` must be greater than `thinking.budget_tokens`."
    assert error_of(body(max_tokens=0, thinking=THINKING), MessagesRequest, "interleaved-thinking-2025-05-14") == (
        "max_tokens: 0 cannot be combined with enabled `thinking`"
    )


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"container": "c_1"}, "container: not supported by this server"),
    (
        {"mcp_servers": [{"type": "url", "url": "https://a.test/", "name": "a"}]},
        (
            "mcp_servers.0.url: this server may not call an MCP server there: start it with `--mcp-host HOST` (or HOST:PORT) "
            "for each host that requests may name, or leave it out"
        ),
    ),
    ({"fallbacks": [{"model": "m2"}]}, "fallbacks: not supported by this server"),
    (
        {"thinking": {"type": "between_tools"}},
        'thinking.type: "thinking.type.between_tools" is not supported for this model',
    ),
    (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "compress_20300101"}]}},
        "context_management.edits.1.type: compress_20300101 is not supported by this server",
    ),
]


@pytest.mark.clause("BETA-4", "BETA-5", "REQ-16", "REQ-18", "THK-5")
@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[str(next(iter(case[0]))) for case in REFUSED])
def test_unsupported_fields_that_would_change_the_answer_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    assert error_of(body(**fields)) == message


@pytest.mark.clause("THR-1", "THR-2", "THR-3")
@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, {}], ids=repr)
def test_a_thread_is_refused_with_details_that_the_tool_runner_recovers_from(thread: dict[str, Any]) -> None:
    with pytest.raises(ThreadsUnsupported) as refusal:
        read(body(user(result("a")), thread=thread))  # before the error about the result without a call
    assert refusal.value.details == {"error_code": "thread_unsupported_request", "unsupported": []}


STRICT: list[tuple[dict[str, Any], bool, str]] = [
    (body(), True, ""),
    (body(mystery=1), False, "mystery: Extra inputs are not permitted"),
    (body(user(text("x", colour="red"))), False, "messages.content.colour: Extra inputs are not permitted"),
    (body(temperature=1), False, ""),
    (body(temperature=1), True, "temperature: Extra inputs are not permitted"),
    (body(top_p=0.5), True, "top_p: Extra inputs are not permitted"),
    (body(top_k=0), True, "top_k: Extra inputs are not permitted"),
    (body(user(text("x", citations=[{}]))), True, "messages.0.content.0.text.citations: Extra inputs are not permitted"),
    (body(user(text("x", citations=[{}]))), False, ""),
    (body(user(text("x", citations=[])), assistant(text("y", citations=[{}])), user("z")), True, ""),
]


@pytest.mark.clause("BETA-2", "TRN-9", "REQ-13")
@pytest.mark.parametrize(("source", "current", "message"), STRICT)
def test_strict_mode_refuses_what_the_api_refuses(source: dict[str, Any], current: bool, message: str) -> None:
    request = MessagesRequest.model_validate_json(json.dumps(source))
    complaints = []
    try:
        rules.check_strict(request, current=current)
    except InvalidRequest as refusal:
        complaints.append(refusal.message)
    assert complaints == [message][: bool(message)]


FORMAT = {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
BAD_FORMAT = {"type": "json_schema", "schema": {"type": 7}}
FORMATS: list[tuple[dict[str, Any], str]] = [
    (body(output_config={"format": FORMAT}), ""),
    (body(output_format=FORMAT), ""),
    (
        body(output_config={"format": FORMAT}, output_format=FORMAT),
        "output_format: `output_format` and `output_config.format` cannot both be set",
    ),
    (
        body(user("Hi"), assistant("Well"), output_config={"format": FORMAT}),
        "When using output format, pre-filling the `assistant` response is not supported.",
    ),
]


@pytest.mark.clause("STR-1", "STR-2", "STR-7")
@pytest.mark.parametrize(("source", "message"), FORMATS)
def test_an_output_format_is_in_one_field_and_excludes_a_prefill(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message


@pytest.mark.clause("STR-5")
@pytest.mark.parametrize("place", ["output_config", "output_format"])
def test_an_output_format_with_an_invalid_schema_is_refused_at_its_path(place: str) -> None:
    fields = {"output_config": {"format": BAD_FORMAT}} if place == "output_config" else {"output_format": BAD_FORMAT}
    path = "output_config.format.schema" if place == "output_config" else "output_format.schema"
    assert error_of(body(**fields)).startswith(f"{path}: JSON schema is invalid.")
