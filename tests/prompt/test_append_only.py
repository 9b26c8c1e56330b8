"""A prompt is append-only: what was rendered for one turn begins what is rendered for the next.

The agent's conversation is recorded as the model wrote it. Its raw output is read by the dialect, goes to the client as
blocks and comes back as blocks; and the prompt of the next turn must begin with the prompt before it and, behind that, with
the very bytes that the model wrote, or the engine reads everything again.
"""

from dataclasses import replace

import pytest

from dragoman import dialects
from dragoman.conversation import ThinkingPolicy
from dragoman.dialects import Dialect
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate
from dragoman.prompt.render import Renderer

from . import templates
from .conversations import NOW, READ, conversation_of, system, user
from .recording import Recording

QWEN3, HERMES = dialects.get("qwen3"), dialects.get("hermes")


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def record(source: str, dialect: Dialect, *, thought: str = "", thinking: bool = False) -> Recording:
    """Two questions with a tool loop each, parallel calls, a failed one, a late system turn and every kind of argument."""
    template = ChatTemplate(source)
    start = conversation_of(user("What does a.txt say?"), top=["You help."], tools=[READ, NOW])
    recording = Recording(
        Renderer(inspect(template, dialect)), dialect, replace(start, thinking=ThinkingPolicy(enabled=thinking))
    )
    arguments = '{"path": "a \\"b\\" ü 🦊\\n", "at": 1, "more": [1.5, true, null, {"z": {}, "a": []}]}'
    recording.say(f"{thought}I look.\n" + call("read", arguments) + "\n" + call("now", "{}"), "hello", "noon")
    recording.say(f"{thought}" + call("read", '{"path": "b.txt"}'), "", system("Be brief."))
    recording.say(f"{thought}It says hello.", user("And b.txt?", "Tell me."))
    recording.say(f"{thought}I look again.\n" + call("read", '{"path": "b.txt"}'), "empty")
    recording.say(f"{thought}Nothing.", user("Thanks."), system("Be kind."))
    recording.say(f"{thought}You are welcome.", user("Bye."))
    return recording


@pytest.mark.clause("CACHE-4", "REQ-12", "TOOL-8")
@pytest.mark.parametrize(
    ("source", "dialect"),
    [(templates.CHATML, HERMES), (templates.CHATML, QWEN3), (HERMES.reference_template or "", HERMES)],
    ids=["the default model's", "the default model's, with reasoning read", "our own for hermes"],
)
def test_each_prompt_and_the_output_behind_it_begin_the_next_prompt(source: str, dialect: Dialect):
    recording = record(source, dialect)
    assert recording.divergences() == []
    assert recording.rewritings() == []


@pytest.mark.clause("CACHE-4", "THK-10")
def test_our_own_template_for_qwen3_appends_only_while_nothing_is_thought():
    recording = record(QWEN3.reference_template or "", QWEN3)
    assert recording.divergences() == []
    assert recording.rewritings() == []


@pytest.mark.clause("CACHE-4", "THK-9", "THK-10")
def test_our_own_template_for_qwen3_keeps_reasoning_inside_a_running_tool_loop():
    recording = record(QWEN3.reference_template or "", QWEN3, thought="<think>\nHm.\n</think>\n\n", thinking=True)
    ends_of_loops = [2, 4, 5]  # the user speaks again, and the reasoning before that is left out, as the models were trained
    assert recording.divergences() == ends_of_loops


@pytest.mark.clause("REQ-12", "CACHE-4")
@pytest.mark.parametrize("name", ["SYSTEM_FIRST", "HOISTING"])
def test_what_is_done_around_a_template_appends_too(name: str):
    source = getattr(templates, name).replace("[' + message.role + ']", "<|im_start|>' + message.role + '\\n")
    source = source.replace("[system]", "<|im_start|>system\\n").replace(
        "{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}", ""
    )
    recording = record(source + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}", HERMES)
    assert recording.divergences() == []
    assert recording.rewritings() == []
