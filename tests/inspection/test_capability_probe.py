"""The probe of a template's capabilities."""

from dataclasses import replace

import pytest

from dragoman import dialects
from dragoman.inspection.capability_probe import probe
from dragoman.prompt import ChatTemplate, TemplateRefusal
from dragoman.prompt.profile import CallIds, EffortVariable, LateSystem, TemplateCapabilities, TextBeforeCall, ThinkingVariable
from prompt import templates

ALL = TemplateCapabilities(
    system=True,
    late_system=LateSystem.IN_PLACE,
    tools=True,
    calls=True,
    second_call=True,
    words=TextBeforeCall.KEPT,
    call_ids=CallIds.PRINTED,
    results=True,
    bare_results=True,
    empty_result=True,
    user_after_results=True,
    loop_goes_on=True,
    reasoning="reasoning_content",
    reasoning_beside_words=True,
    reasoning_kept=True,
    thinking=ThinkingVariable("enable_thinking", default=True),
)
CHATML = TemplateCapabilities(system=True, late_system=LateSystem.IN_PLACE, bare_results=True)

FOUND = {
    "FULL": ALL,
    "STRING_ARGUMENTS": replace(ALL, string_arguments=True, thinking=ThinkingVariable("thinking", default=True)),
    "CHATML": CHATML,
    "ALTERNATING": TemplateCapabilities(user_first=True, late_system=LateSystem.REFUSED),
    "SYSTEM_FIRST": replace(CHATML, late_system=LateSystem.REFUSED),
    "HOISTING": replace(CHATML, late_system=LateSystem.HOISTED),
    "SYSTEM_LOST": replace(CHATML, late_system=LateSystem.LOST),
    "TYPED": replace(CHATML, typed_content=True),
    "ONE_CALL": replace(ALL, second_call=False),
    "TEXT_BESIDE_CALL_LOST": replace(ALL, words=TextBeforeCall.LOST, reasoning_beside_words=False),
    "TEXT_AFTER_CALL": replace(ALL, words=TextBeforeCall.AFTER, reasoning_beside_words=False),
    "NINE": replace(ALL, call_ids=CallIds.NINE),
    "ID_IS_NAME": replace(ALL, call_ids=CallIds.NUMBERED),
    "RENUMBERING": replace(ALL, call_ids=CallIds.RENUMBERED),
    "NO_RESULTS": replace(ALL, results=False, bare_results=False, empty_result=False, user_after_results=False),
    "NO_EMPTY_RESULTS": replace(ALL, empty_result=False),
    "USERS_ALTERNATE": replace(ALL, bare_results=False, user_after_results=False),
    "TYPED_REASONING": replace(ALL, reasoning="content"),
    "OTHER_REASONING": replace(ALL, reasoning="thinking"),
    "REASONING_OR_TEXT": replace(ALL, reasoning_beside_words=False),
    "DROPS_REASONING": replace(ALL, reasoning_kept=False, loop_goes_on=False),
    "KEEPS_REASONING_IF_SET": ALL,
}


@pytest.mark.clause("REQ-11", "REQ-12", "TOOL-10", "THK-10", "IN-8")
@pytest.mark.parametrize(("name", "capabilities"), FOUND.items(), ids=FOUND)
def test_a_template_has_these_capabilities(name: str, capabilities: TemplateCapabilities) -> None:
    assert probe(ChatTemplate(getattr(templates, name), bos_token="<s>", eos_token="</s>")) == capabilities


def test_losses_are_named() -> None:
    assert ALL.losses == []
    assert replace(ALL, second_call=False, words=TextBeforeCall.LOST).losses == ["second call", "text beside a call"]
    assert CHATML.losses == ["tools", "calls", "results", "reasoning in a tool loop", "reasoning of earlier turns"]


@pytest.mark.parametrize(
    ("dialect", "capabilities"),
    [
        ("qwen3", replace(ALL, call_ids=CallIds.UNSEEN, reasoning_kept=False,
                          )),
        ("hermes", replace(ALL, call_ids=CallIds.UNSEEN, reasoning=None, reasoning_beside_words=False, reasoning_kept=False,
                           thinking=None)),
    ],
)  # fmt: skip
def test_our_templates_have_all_capabilities_of_their_dialect(dialect: str, capabilities: TemplateCapabilities) -> None:
    assert probe(ChatTemplate(dialects.get(dialect).reference_template or "")) == capabilities


@pytest.mark.parametrize("source", ["", "{{ bos_token }}", "{{ raise_exception('no') }}", "{{ messages[0].content[:2] }}"])
def test_a_template_that_does_not_render_a_user_turn_is_refused(source: str) -> None:
    with pytest.raises(TemplateRefusal):
        probe(ChatTemplate(source))


@pytest.mark.clause("THK-1", "THK-3")
@pytest.mark.parametrize(
    ("tail", "switch"),
    [
        ("{# enable_thinking #}{% set x = enable_thinking %}", None),
        ("{% if thinking %}<think>{% else %}</think>{% endif %}", ThinkingVariable("thinking", default=False)),
        ("{% if thinking_mode == 'disabled' %}</think>{% elif thinking_mode == 'enabled' %}<think>{% endif %}",
         ThinkingVariable("thinking_mode", "enabled", "disabled", default=None)),
        ("{% if reasoning_effort == 'none' %}</think>{% endif %}",
         ThinkingVariable("reasoning_effort", "high", "none", default=True)),
        ("{% if thinking_budget == 0 %}</think>{% endif %}", ThinkingVariable("thinking_budget", -1, 0, default=True)),
    ],
)  # fmt: skip
def test_the_thinking_variable_is_the_one_that_changes_the_prompt(tail: str, switch: ThinkingVariable | None) -> None:
    assert probe(ChatTemplate(templates.CHATML + tail)).thinking == switch


@pytest.mark.clause("THK-14")
@pytest.mark.parametrize(
    ("source", "effort"),
    [
        ("", None),
        ("{{ reasoning_effort }}",
         EffortVariable("reasoning_effort", {"low": "low", "medium": "medium",
                                             "high": "high", "xhigh": "high", "max": "high"})),
        ("{% if thinking_effort in ('low', 'high', 'max') %}{{ thinking_effort }}{% else %}{{ raise_exception(1) }}{% endif %}",
         EffortVariable("thinking_effort", {"low": "low", "medium": "high", "high": "high", "xhigh": "max", "max": "max"})),
        ("{% if reasoning_effort == 'max' %}Think hard.{% endif %}", EffortVariable("reasoning_effort", {"max": "max"})),
        ("{% if reasoning_effort in ('high', 'max') %}{{ reasoning_effort }}{% endif %}",
         EffortVariable("reasoning_effort", {"high": "high", "xhigh": "max", "max": "max"})),
        ("{% if thinking and reasoning_effort == 'low' %}Think less.{% elif thinking %}<think>{% endif %}",
         EffortVariable("reasoning_effort", {"low": "low"})),
    ],
    ids=["none", "any word", "some words, others refused", "one word", "two words", "only where it thinks"],
)  # fmt: skip
def test_effort_is_mapped_to_the_nearest_level_that_the_template_supports(source: str, effort: EffortVariable | None) -> None:
    if "thinking_effort" in source:
        source = "{% if thinking_effort is defined %}" + source + "{% endif %}"
    assert probe(ChatTemplate(templates.CHATML + source)).effort == effort
