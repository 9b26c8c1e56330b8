"""Conversations that begin without a user turn, as after a compaction: every template renders them completely."""

from collections.abc import Iterator, Sequence

import pytest

import corpus
from dragoman import dialects
from dragoman.conversation import Conversation, Text, Thinking, Tool, ToolCall, ToolResult, Turn
from dragoman.dialects import Dialect
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate, Renderer, TemplateRefusal

from . import templates
from .conversations import assistant, conversation_of, system, user
from .families import family_of

_MAKE = Tool("make", "Makes.", {"type": "object", "properties": {"path": {"type": "string"}}})
_SMALL = {name: source for name, source in vars(templates).items() if name.isupper() and not name.startswith("_")}

NO_QUERY = templates.FULL.replace(
    "{{- bos_token }}",
    "{%- if not messages | selectattr('role', 'equalto', 'user') | list %}{{ raise_exception('No user query') }}{% endif %}"
    "{{- bos_token }}",
)
RESULT_IS_NOT_A_QUERY = (
    """\
{%- set ns = namespace(query=false) %}
{%- for message in messages %}
    {%- if message.role == 'user' and not message.content.startswith('<tool_response>') %}{% set ns.query = true %}{% endif %}
{%- endfor %}
{%- if not ns.query %}{{ raise_exception('No user query') }}{% endif %}
"""
    + templates.FULL
)
ASSISTANT_FIRST_LOST = templates.FULL.replace(
    "{{- '<' + message.role + '>' }}",
    "{%- if loop.first and message.role == 'assistant' %}{% continue %}{% endif %}{{- '<' + message.role + '>' }}",
)
SYSTEM_WITH_USER = """\
{%- if messages[0].role == 'system' %}{% set top = messages[0].content %}{% set messages = messages[1:] %}{% endif %}
{%- for message in messages %}
    {{- '[' + message.role + ']' }}
    {%- if loop.first and top and message.role == 'user' %}{{ top }}{% endif %}
    {{- message.content }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"""
DEMANDING = {
    "no user query": NO_QUERY,
    "a result is not a query": RESULT_IS_NOT_A_QUERY,
    "a first assistant turn is lost": ASSISTANT_FIRST_LOST,
    "the system text is part of the first user turn": SYSTEM_WITH_USER,
    "a user turn follows the system turn": "{% if messages[0].role == 'system' and messages[1].role != 'user' %}"
    "{{ raise_exception('no') }}{% endif %}" + templates.FULL,
}


def _call(place: int, *words: str) -> Turn:
    return assistant(*words, ToolCall(f"t{place}", "make", {"path": f"path{place}"}))


def _result(place: int, *words: str) -> Turn:
    return user(ToolResult.of_text(f"t{place}", "make", f"outcome{place}"), *words)


CONVERSATIONS: Sequence[Sequence[Turn]] = (
    [assistant("I go on.")],
    [assistant("I go on."), user("Do.")],
    [_call(1), _result(1)],
    [_call(1, "First."), _result(1)],
    [_call(1), _result(1, "And now?")],
    [_call(1), _result(1), _call(2), _result(2)],
    [_call(1), _result(1), assistant("Done."), user("More?")],
    [system("Be brief.")],
    [system("Be brief."), assistant("Yes."), user("So?")],
    [system("Be brief."), _call(1), _result(1)],
    [assistant("Hm."), system("Be brief."), assistant("Yes."), user("So?")],
    [user("<tool_response>\nnothing\n</tool_response>")],
)


def _variants() -> Iterator[Conversation]:
    for turns in CONVERSATIONS:
        for top in ([], ["Summary: it was asked for."]):
            for tools in ([], [_MAKE]):
                yield conversation_of(*turns, top=top, tools=tools)


def _expected_texts(conversation: Conversation) -> Iterator[str]:
    """The texts that a prompt of this conversation must contain, in order."""
    yield from (block.text for block in conversation.dialogue.system)
    for part in (part for turn in conversation.dialogue.turns for part in turn.content):
        match part:
            case ToolCall():
                yield part.input["path"]
            case Text() | ToolResult() | Thinking():
                yield part.text


def _losses(renderer: Renderer) -> list[tuple[Conversation, str]]:
    found = []
    for conversation in _variants():
        try:
            text, place = renderer.render(conversation).text, 0
        except TemplateRefusal as refusal:
            found.append((conversation, f"refused: {refusal}"))
            continue
        for words in _expected_texts(conversation):
            place = text.find(words, place)
            if place < 0:
                found.append((conversation, words))
                break
    return found


def _renderer(source: str, dialect: Dialect) -> Renderer:
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    return Renderer(inspect(template, dialect))


@pytest.mark.clause("REQ-9", "IN-8")
@pytest.mark.parametrize("name", [*_SMALL, *DEMANDING])
def test_a_conversation_without_a_first_user_turn_is_rendered_completely_and_in_order(name: str) -> None:
    source = {**_SMALL, **DEMANDING}[name]
    assert _losses(_renderer(source, dialects.get("qwen3"))) == []


@pytest.mark.slow
@pytest.mark.clause("REQ-9", "IN-8")
def test_every_real_template_renders_a_conversation_without_a_first_user_turn() -> None:
    losing = {name: _losses(_renderer(source, family_of(name))) for name, source in corpus.templates().items()}
    assert {name: losses for name, losses in losing.items() if losses} == {}


@pytest.mark.clause("CACHE-4")
@pytest.mark.parametrize("name", DEMANDING)
def test_a_conversation_without_a_first_user_turn_is_append_only(name: str) -> None:
    renderer = _renderer(DEMANDING[name], dialects.get("qwen3"))
    turns = [_call(1), _result(1), assistant("Done."), user("More?"), assistant("Yes."), user("So?")]
    prompts = [renderer.render(conversation_of(*turns[:length], top=["Summary."])).text for length in (2, 4, 6)]
    assert prompts[1].startswith(prompts[0].removesuffix("<think></think>"))
    assert prompts[2].startswith(prompts[1].removesuffix("<think></think>"))
