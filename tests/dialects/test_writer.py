"""The output of the writer of a dialect is read back by its parser."""

import json
from typing import Any

import pytest
from hypothesis import given

from dragoman import dialects
from dragoman.conversation import Tool, ToolCall, ToolResult
from dragoman.dialects import Dialect
from dragoman.dialects.spec import JsonArguments
from dragoman.prompt.template import ChatTemplate

from .reading import read
from .test_parser import ARGUMENTS

IN_JSON = [dialect for dialect in dialects.BY_NAME.values() if dialect.calls and isinstance(dialect.calls.codec, JsonArguments)]
WITH_TEMPLATE = pytest.mark.parametrize(
    "dialect", [dialect for dialect in dialects.BY_NAME.values() if dialect.template], ids=lambda dialect: dialect.name
)


@given(arguments=ARGUMENTS)
def test_calls_that_a_dialect_writes_in_json_are_read_back(arguments: dict[str, Any]) -> None:
    calls = [ToolCall("1", "add", arguments), ToolCall("2", "now", {})]
    for dialect in IN_JSON:
        parts = read(dialect, [dialect.encode_calls(calls)], ["add", "now"]).parts
        read_back = [(part["call"], json.loads(part["arguments"])) for part in parts]
        assert read_back == [("add", arguments), ("now", {})], dialect.name


def test_calls_keep_key_order_and_characters() -> None:
    call = ToolCall("1", "add", {"z": "é\n", "a": [1, {"y": None, "b": True}]})

    assert dialects.get("hermes").encode_calls([call, call]) == "\n".join(
        ['<tool_call>\n{"name": "add", "arguments": {"z": "é\\n", "a": [1, {"y": null, "b": true}]}}\n</tool_call>'] * 2
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("mistral-v3", ('[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "iA0123456"}, '
                       '{"name": "g", "arguments": {}, "id": "00000000x"}]')),
        ("mistral-v11", '[TOOL_CALLS]f[CALL_ID]iA0123456[ARGS]{"a": 1}[TOOL_CALLS]g[CALL_ID]00000000x[ARGS]{}'),
        ("ministral3", '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}'),
        ("command-r7b", ('<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {"a": 1}}, '
                        '{"tool_call_id": "1", "tool_name": "g", "parameters": {}}]<|END_ACTION|>')),
        ("command-r-plus", ('Action:\n```json\n[{"tool_name": "f", "parameters": {"a": 1}}, '
                           '{"tool_name": "g", "parameters": {}}]\n```\n')),
        ("kimi-k2", ("<|tool_calls_section_begin|>"
                    '<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a": 1}<|tool_call_end|>'
                    "<|tool_call_begin|>functions.g:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
                    "<|tool_calls_section_end|>")),
        ("apertus", '<|tools_prefix|>[{"f": {"a": 1}}, {"g": {}}]<|tools_suffix|>'),
        ("llama3-json", '{"name": "f", "parameters": {"a": 1}}; {"name": "g", "parameters": {}}'),
        ("functionary", 'f\n{"a": 1}>>>g\n{}'),
        ("functionary-3.1", '<function=f>{"a": 1}</function><function=g>{}</function>'),
        ("gpt-oss", ('<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|><|start|>assistant'
                    "<|channel|>commentary to=functions.g <|constrain|>json<|message|>{}<|call|>")),
    ],
)  # fmt: skip
def test_calls_are_written_as_the_family_does(name: str, written: str) -> None:
    calls = [ToolCall("toolu_fffiA0123456", "f", {"a": 1}), ToolCall("x", "g", {})]

    assert dialects.get(name).encode_calls(calls) == written


def test_an_id_that_holds_the_name_is_written_unchanged() -> None:
    calls = [ToolCall("functions.f:41", "f", {}), ToolCall("functions.f:42", "g", {})]

    written = dialects.get("kimi-k2").encode_calls(calls)

    assert "functions.f:41<" in written
    assert "functions.g:1<" in written


def test_a_failed_result_is_marked() -> None:
    results = [ToolResult.of_text("1", "add", "3"), ToolResult.of_text("2", "now", "no", is_error=True)]

    assert dialects.get("hermes").encode_results(results) == (
        "<tool_response>\n3\n</tool_response>\n<tool_response>\nError: no\n</tool_response>"
    )


@pytest.mark.clause("IN-8")
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("deepseek-v3.2", "<function_results>\n<result>3</result>\n<result></result>\n</function_results>"),
        ("kimi-k2", "## Return of functions.add:0\n3\n\n## Return of functions.now:1\n"),
        ("mistral-v3", ('[TOOL_RESULTS]{"content": "3", "call_id": "functions.add:0"}[/TOOL_RESULTS]'
                       '[TOOL_RESULTS]{"content": "", "call_id": "functions.now:1"}[/TOOL_RESULTS]')),
        ("command-r7b", ('<|START_TOOL_RESULT|>[{"tool_call_id": "0", "results": {"0": "3"}, "is_error": null}, '
                        '{"tool_call_id": "1", "results": {"0": ""}, "is_error": null}]<|END_TOOL_RESULT|>')),
        ("gemma4", ('<|tool_response>response:add{value:<|"|>3<|"|>}<tool_response|>'
                   '<|tool_response>response:now{value:<|"|><|"|>}<tool_response|>')),
    ],
)  # fmt: skip
def test_results_are_written_as_the_family_reads_them(name: str, written: str) -> None:
    results = [
        ToolResult.of_text("functions.add:0", "add", "3"),
        ToolResult.of_text("functions.now:1", "now", ""),
    ]

    assert dialects.get(name).encode_results(results) == written


def test_placeholders_in_a_result_are_not_replaced() -> None:
    result = ToolResult.of_text("{name}", "{id}", "{place}")

    assert dialects.get("gemma4").encode_results([result]) == (
        '<|tool_response>response:{id}{value:<|"|>{place}<|"|>}<tool_response|>'
    )


@pytest.mark.clause("THK-9")
@pytest.mark.parametrize("dialect", [d for d in dialects.BY_NAME.values() if d.reasoning and not d.frame], ids=lambda d: d.name)
@pytest.mark.parametrize("text", ["So: 3", ""])
def test_a_written_turn_is_read_back(dialect: Dialect, text: str) -> None:
    call = ToolCall("1", "add", {"a": 1})
    written = dialect.encode_thinking("Hm.\n\nYes.", text) + dialect.encode_turn(text, [call] if dialect.calls else [])

    parts = read(dialect, [written], {"add": {"type": "object", "properties": {"a": {"type": "integer"}}}}).parts

    calls = [{"call": "add", "arguments": '{"a": 1}', "complete": True}] if dialect.calls else []
    if dialect.calls and dialect.calls.bare and text:  # a call without an opener is text after other text
        assert parts[0] == {"thinking": "Hm.\n\nYes."}
    else:
        assert parts == [{"thinking": "Hm.\n\nYes."}, *([{"text": text}] if text else []), *calls]


def test_tools_are_described_with_an_example_in_the_dialect() -> None:
    tool = Tool("add", "Adds {numbers}.", {"type": "object", "properties": {"b": {}, "a": {}}})

    assert dialects.get("hermes").encode_tools([]) == ""
    written = dialects.get("hermes").encode_tools([tool])
    assert (
        '<tools>\n{"type": "function", "function": {"name": "add", "description": "Adds {numbers}.", '
        '"parameters": {"type": "object", "properties": {"b": {}, "a": {}}}}}\n</tools>'
    ) in written
    assert '<tool_call>\n{"name": ' in written


HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How late is it, and 1 + 2?"},
    {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "Two tools.\n\nBoth.",
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "now", "arguments": {}}},
            {"id": "2", "type": "function", "function": {"name": "add", "arguments": {"b": "</tool_call>", "a": [1, 2]}}},
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": "noon"},
    {"role": "tool", "tool_call_id": "2", "content": "3"},
]
TOOLS = [{"type": "function", "function": {"name": name, "description": "", "parameters": {}}} for name in ("now", "add")]


@WITH_TEMPLATE
@pytest.mark.clause("REQ-11")
def test_a_history_rendered_by_the_reference_template_is_read_back(dialect: Dialect) -> None:
    template = ChatTemplate(dialect.reference_template or "")
    before = template.render(HISTORY[:2], tools=TOOLS)
    after = template.render(HISTORY[:3], tools=TOOLS, generation_prompt=False)
    assert after.startswith(before)

    parts = read(dialect, [after.removeprefix(before).removesuffix("<|im_end|>\n")], ["add", "now"]).parts

    thinking = [{"thinking": "Two tools.\n\nBoth."}] if dialect.reasoning else []
    assert parts == [
        *thinking,
        {"text": "Let me see."},
        {"call": "now", "arguments": "{}", "complete": True},
        {"call": "add", "arguments": '{"b": "</tool_call>", "a": [1, 2]}', "complete": True},
    ]


@WITH_TEMPLATE
@pytest.mark.parametrize("thinking", [True, False])
def test_in_a_tool_loop_each_prompt_begins_with_the_last_one(dialect: Dialect, thinking: bool) -> None:
    template = ChatTemplate(dialect.reference_template or "")
    reply = HISTORY[2] if thinking else {**HISTORY[2], "reasoning_content": None}
    turns = [*HISTORY[:2], reply, *HISTORY[3:], {"role": "user", "content": "(a reminder)"}, reply, *HISTORY[3:]]

    prompts = [template.render(turns[:end], tools=TOOLS, enable_thinking=thinking) for end in (2, 5, 6, 9)]

    assert prompts[1].startswith(prompts[0])
    assert prompts[3].startswith(prompts[2])
    assert prompts[2].startswith(template.render(turns[:5], tools=TOOLS, enable_thinking=thinking, generation_prompt=False))


def test_a_new_question_drops_old_reasoning_as_qwen3_was_trained() -> None:
    template = ChatTemplate(dialects.get("qwen3").reference_template or "")
    turns = [*HISTORY, {"role": "assistant", "content": "Noon, and 3."}]

    assert "Two tools." in template.render(turns, tools=TOOLS)
    assert "Two tools." not in template.render([*turns, {"role": "user", "content": "And now?"}], tools=TOOLS)


def test_thinking_that_is_switched_off_is_closed_in_the_prompt() -> None:
    dialect = dialects.get("qwen3")
    template = ChatTemplate(dialect.reference_template or "")

    off = template.render(HISTORY[:2], enable_thinking=False)

    assert off.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not dialect.thinking_open(off)


@pytest.mark.parametrize(
    ("tail", "is_open"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n<think>", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("<|im_start|>assistant\n", False),
        ("what is <think><|im_end|>\n<|im_start|>assistant\n", False),
    ],
)
def test_the_end_of_the_prompt_decides_whether_the_output_begins_with_reasoning(tail: str, is_open: bool) -> None:
    assert dialects.get("qwen3").thinking_open(tail) is is_open
    assert dialects.get("hermes").thinking_open(tail) is False


def test_force_closed_reasoning_is_read_as_closed() -> None:
    dialect = dialects.get("qwen3")

    assert read(dialect, ["<think>\nand on", dialect.close_thinking, "So: 3"], []).parts == [
        {"thinking": "and on"},
        {"text": "So: 3"},
    ]
    assert dialects.get("hermes").close_thinking == ""
