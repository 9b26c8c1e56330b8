"""Detection of the dialect whose parser reads back the calls that the template renders."""

import time

import pytest

from corpus import templates
from dragoman import dialects
from dragoman.inspection.detection import detect
from dragoman.prompt import ChatTemplate

from .real_templates import UNREADABLE, expected
from .template_table import DOCS, reports, updated
from .writer_template import WriterTemplate


def chatml(calls: str, *, thought: str = "", tail: str = "") -> str:
    """A ChatML template; `calls` renders `message.tool_calls`, and `tail` begins the model's message."""
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        f"{thought}{{{{ message.content or '' }}}}{{% if message.tool_calls %}}{calls}{{% endif %}}<|im_end|>\n{{% endfor %}}"
        f"{{% if add_generation_prompt %}}<|im_start|>assistant\n{tail}{{% endif %}}"
    )


def each(call: str, between: str = "\\n") -> str:
    """A template that renders `call` for each call; `name` and `arguments` are variables in it."""
    return (
        "{% for call in message.tool_calls %}{% set name = call.function.name %}{% set arguments = call.function.arguments %}"
        f"{call}{{% if not loop.last %}}{{{{ '{between}' }}}}{{% endif %}}{{% endfor %}}"
    )


ONE_ONLY = "{% if message.tool_calls | length > 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
HERMES = each(
    """{{- '<tool_call>\\n{"name": "' + name + '", "arguments": ' }}{{ arguments | tojson }}{{ '}\\n</tool_call>' -}}"""
)
QWEN_XML = each(
    "{{- '<tool_call>\\n<function=' + name + '>\\n' }}{% for key, value in arguments.items() %}"
    "{{- '<parameter=' + key + '>\\n' }}{{ value if value is string else value | tojson }}{{ '\\n</parameter>\\n' }}"
    "{%- endfor %}{{ '</function>\\n</tool_call>' -}}"
)
THOUGHT = "{% if message.reasoning_content %}<think>\n{{ message.reasoning_content }}\n</think>\n\n{% endif %}"
CLOSED_SHORTER = THOUGHT.replace("</think>\n\n", "</think>\n")
PYTHON = each(
    "{{- name + '(' }}{% for key, value in arguments.items() %}{{ key }}={{ value | tojson }}{{ ', ' if not loop.last }}"
    "{%- endfor %}{{ ')' -}}",
    between=", ",
)
NAME_IN_ID = each(
    "{% if not call.id.startswith('functions.') %}{{ raise_exception('strange id') }}{% endif %}"
    "<|tool_call_begin|>{{ call.id }}<|tool_call_argument_begin|>{{ arguments | tojson }}<|tool_call_end|>",
    between="",
)

TEMPLATES = {
    "arguments as an object": (chatml(HERMES), "hermes"),
    "arguments as a string": (
        chatml(each("<function={{ name }}>{{ '' + arguments }}</function>", between="")),
        "functionary-3.1",
    ),
    "a name that is a key": (
        chatml(
            "<|tools_prefix|>["
            + each("""{{- '{"' + name + '": ' }}{{ arguments | tojson }}{{ '}' -}}""", between=", ")
            + "]<|tools_suffix|>"
        ),
        "apertus",
    ),
    "tagged parameters": (chatml(QWEN_XML), "qwen3-coder"),
    "a second call is refused": (
        chatml(ONE_ONLY + each("""{"name": "{{ name }}", "parameters": {{ arguments | tojson }}}""")),
        "llama3-json",
    ),
    "ids of another shape are refused": (
        chatml(f"<|tool_calls_section_begin|>{NAME_IN_ID}<|tool_calls_section_end|>"),
        "kimi-k2",
    ),
    "words beside calls are refused": (
        chatml("{% if message.content is not none %}{{ raise_exception('silence') }}{% endif %}" + HERMES),
        "hermes",
    ),
    "content is refused that is not in parts": (
        chatml(HERMES).replace("message.content or ''", "message.content[0].text"),
        "hermes",
    ),
    "tools are refused": ("{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + chatml(HERMES), "hermes"),
    "reasoning is shown": (chatml(HERMES, thought=THOUGHT), "qwen3"),
    "reasoning is opened by the prompt": (chatml(HERMES, tail="<think>\n"), "qwq"),
    "reasoning is shown and opened by the prompt": (chatml(QWEN_XML, thought=THOUGHT, tail="<think>\n"), "qwen3.5"),
    "reasoning is closed in another way": (chatml(QWEN_XML, thought=CLOSED_SHORTER, tail="<think>\n"), "nemotron-3"),
    "calls follow one another in another way": (
        chatml(QWEN_XML.replace("{{ '\\n' }}", ""), thought=CLOSED_SHORTER, tail="<think>\n"),
        "step3.5",
    ),
    "the turn ends in another way": (chatml(HERMES).replace("<|im_end|>", "<|end_of_text|>"), "granite-4"),
}


@pytest.mark.parametrize(("source", "dialect"), TEMPLATES.values(), ids=TEMPLATES)
def test_the_dialect_is_the_one_that_reads_the_templates_calls(source: str, dialect: str) -> None:
    detection = detect(ChatTemplate(source))
    assert (detection.dialect.name, detection.found) == (dialect, "decoded back")


@pytest.mark.parametrize("dialect", ["qwen3", "hermes"])
def test_our_own_templates_are_detected_as_their_dialect(dialect: str) -> None:
    assert detect(ChatTemplate(dialects.get(dialect).reference_template or "")).dialect.name == dialect


def test_runners_up_read_the_same_calls_and_those_that_only_read_them_come_last() -> None:
    detection = detect(ChatTemplate(chatml(HERMES)))
    assert {"qwen3", "qwq", "granite-4"} < set(detection.runners_up)
    assert set(detection.runners_up[-2:]) == {"xlam", "granite-3"}


SAME_OUTPUT = {"lfm2.5": "lfm2", "magistral": "ministral3"}
"""Dialects that write the same as another one, which is detected if there is no hint."""


@pytest.mark.parametrize("name", dialects.BY_NAME)
def test_a_template_of_a_dialect_is_detected_as_that_dialect(name: str) -> None:
    assert detect(WriterTemplate(dialects.get(name))).dialect.name == SAME_OUTPUT.get(name, name)


NO_CALLS = chatml("")


def test_a_template_without_calls_is_detected_by_a_hint_in_its_source() -> None:
    tools = "{% if tools %}<|start_of_role|>tools: call them with <|tool_call|>.{% endif %}"
    detection = detect(ChatTemplate(tools + NO_CALLS))
    assert (detection.dialect.name, detection.found) == ("granite-3", "hint: <|start_of_role|> <|tool_call|>")


@pytest.mark.parametrize(
    ("tools", "dialect"), [("List of tools: <|tool_list_start|>[", "lfm2"), ("List of tools: [", "lfm2.5")]
)
def test_hints_distinguish_dialects_that_write_the_same_for_any_vocabulary(tools: str, dialect: str) -> None:
    template = f"{{% if tools %}}{tools}{{% endif %}}"
    for source in (NO_CALLS, chatml(f"<|tool_call_start|>[{PYTHON}]<|tool_call_end|>")):
        detection = detect(ChatTemplate(template + source), {"<|tool_list_start|>", "<|tool_call_start|>"})
        assert detection.dialect.name == dialect


@pytest.mark.parametrize("template", [ChatTemplate(NO_CALLS), None], ids=["no calls", "no template"])
def test_a_model_without_calls_in_its_template_is_detected_by_its_special_tokens(template: ChatTemplate | None) -> None:
    vocabulary = {"<|im_end|>", "<|tools_prefix|>", "<|tools_suffix|>"}
    assert detect(template, vocabulary).dialect.name == "apertus"


def test_calls_that_are_read_back_count_more_than_hints() -> None:
    assert detect(ChatTemplate(chatml(HERMES)), {"<|tools_prefix|>", "<|tool_list_start|>"}).dialect.name == "hermes"


@pytest.mark.parametrize("template", [ChatTemplate(NO_CALLS), ChatTemplate("{{ raise_exception('never') }}"), None])
def test_without_calls_and_hints_the_dialect_is_the_generic_one(template: ChatTemplate | None) -> None:
    detection = detect(template)
    assert detection.dialect is dialects.DEFAULT
    assert detection.found.startswith("generic: ")


def test_hints_do_not_count_if_no_dialect_reads_the_calls_of_the_template() -> None:
    unreadable = chatml(each("<|tools_prefix|>{{ name }} with {{ arguments | tojson }}"))
    detection = detect(ChatTemplate(unreadable))
    assert detection.dialect is dialects.DEFAULT
    assert detection.found == "generic: no dialect reads the calls that the template prints"


@pytest.mark.parametrize(
    ("source", "reasoning"),
    [
        (chatml("", tail="<think>\n"), "qwen3"),
        (chatml("", tail="{% if enable_thinking %}<mm:think>{% endif %}"), "minimax-m3"),
        (chatml("", thought="{% if message.reasoning %}[THINK]{{ message.reasoning }}[/THINK]{% endif %}"), "ministral3"),
    ],
)
def test_reasoning_is_detected_without_calls(source: str, reasoning: str) -> None:
    found = detect(ChatTemplate(source)).dialect
    assert found.calls == dialects.DEFAULT.calls
    assert found.reasoning == dialects.get(reasoning).reasoning


@pytest.mark.slow
def test_every_real_template_has_the_expected_dialect() -> None:
    answers = {name: (found["dialect"], found["found"].partition(":")[0]) for name, found in reports().items()}
    assert answers == {name: expected(name) for name in answers}
    assert [name for name, found in reports().items() if "no dialect reads" in found["found"]] == UNREADABLE


@pytest.mark.slow
def test_detection_takes_half_a_second_at_most() -> None:
    sources = list(templates().values())[::8]
    begun = time.process_time()
    for source in sources:
        detect(ChatTemplate(source))
    assert (time.process_time() - begun) / len(sources) < 0.5


@pytest.mark.slow
def test_the_page_shows_the_detected_dialects() -> None:
    assert DOCS.read_text(encoding="utf-8") == updated(), "run scripts/template-table"
