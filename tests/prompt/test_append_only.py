"""Prompts are append-only: the prompt of a turn begins with the previous prompt and the output after it.

`recording` describes how a conversation is recorded.
"""

import pytest

from dragoman import dialects
from dragoman.conversation import ThinkingPolicy
from dragoman.dialects import Dialect
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate
from dragoman.prompt.render import Renderer

from . import templates
from .conversations import NOW, READ, changed, conversation_of, system, user
from .recording import Recording

QWEN3, HERMES = dialects.get("qwen3"), dialects.get("hermes")


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def record(source: str, dialect: Dialect, *, thought: str = "", thinking: bool = False) -> Recording:
    """Record two questions with a tool loop each, parallel calls, an empty result, late system turns and all JSON types."""
    template = ChatTemplate(source)
    start = conversation_of(user("What does a.txt say?"), top=["You help."], tools=[READ, NOW])
    recording = Recording(
        Renderer(inspect(template, dialect)), dialect, changed(start, thinking=ThinkingPolicy(enabled=thinking))
    )
    arguments = '{"path": "a \\"b\\" ü 🦊\\n", "at": 1, "more": [1.5, true, null, {"z": {}, "a": []}]}'
    recording.add_turn(f"{thought}I look.\n" + call("read", arguments) + "\n" + call("now", "{}"), "hello", "noon")
    recording.add_turn(f"{thought}" + call("read", '{"path": "b.txt"}'), "", system("Be brief."))
    recording.add_turn(f"{thought}It says hello.", user("And b.txt?", "Tell me."))
    recording.add_turn(f"{thought}I look again.\n" + call("read", '{"path": "b.txt"}'), "empty")
    recording.add_turn(f"{thought}Nothing.", user("Thanks."), system("Be kind."))
    recording.add_turn(f"{thought}You are welcome.", user("Bye."))
    return recording


@pytest.mark.clause("CACHE-4", "REQ-12", "TOOL-8")
@pytest.mark.parametrize(
    ("source", "dialect"),
    [(templates.CHATML, HERMES), (templates.CHATML, QWEN3), (HERMES.reference_template or "", HERMES)],
    ids=["default model", "default model with reasoning", "our template for hermes"],
)
def test_each_prompt_begins_with_the_previous_one_and_its_output(source: str, dialect: Dialect) -> None:
    recording = record(source, dialect)
    assert recording.divergences() == []
    assert recording.rewritings() == []


@pytest.mark.clause("CACHE-4", "THK-10")
def test_our_template_for_qwen3_is_append_only_without_reasoning() -> None:
    recording = record(QWEN3.reference_template or "", QWEN3)
    assert recording.divergences() == []
    assert recording.rewritings() == []


@pytest.mark.clause("CACHE-4", "THK-9", "THK-10")
def test_our_template_for_qwen3_keeps_reasoning_in_a_running_tool_loop() -> None:
    recording = record(QWEN3.reference_template or "", QWEN3, thought="<think>\nHm.\n</think>\n\n", thinking=True)
    ends_of_loops = [2, 4, 5]  # a new user turn: earlier reasoning is left out, as the models were trained
    assert recording.divergences() == ends_of_loops


@pytest.mark.clause("REQ-12", "CACHE-4")
@pytest.mark.parametrize("name", ["SYSTEM_FIRST", "HOISTING"])
def test_what_the_template_does_not_render_is_append_only_too(name: str) -> None:
    source = getattr(templates, name).replace("[' + message.role + ']", "<|im_start|>' + message.role + '\\n")
    source = source.replace("[system]", "<|im_start|>system\\n").replace(
        "{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}", ""
    )
    recording = record(source + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}", HERMES)
    assert recording.divergences() == []
    assert recording.rewritings() == []
