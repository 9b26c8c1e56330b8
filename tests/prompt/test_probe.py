"""The probe: what a template can do, found out by having it do it."""

from dataclasses import replace

import pytest

from dragoman import dialects
from dragoman.prompt import ChatTemplate, TemplateRefusal
from dragoman.prompt.probe import Traits, probe

from . import templates

ALL = Traits(
    system=True,
    late_system=True,
    tools=True,
    calls=True,
    results=True,
    reasoning=True,
    string_arguments=False,
    thinking_switch="enable_thinking",
)
NOTHING = Traits(
    system=False,
    late_system=False,
    tools=False,
    calls=False,
    results=False,
    reasoning=False,
    string_arguments=False,
    thinking_switch=None,
)

FOUND = {
    "FULL": ALL,
    "STRING_ARGUMENTS": replace(ALL, string_arguments=True, thinking_switch="thinking"),
    "CHATML": replace(NOTHING, system=True, late_system=True),
    "ALTERNATING": NOTHING,
    "SYSTEM_FIRST": replace(NOTHING, system=True),
    "HOISTING": replace(NOTHING, system=True),
    "ONE_CALL": replace(ALL, calls=False, results=False, reasoning=False),
    "SILENT_CALLS": replace(ALL, calls=False, results=False, reasoning=False),
    "NO_RESULTS": replace(ALL, results=False),
}


@pytest.mark.clause("REQ-11", "REQ-12", "TOOL-10", "THK-10")
@pytest.mark.parametrize(("name", "traits"), FOUND.items(), ids=FOUND)
def test_a_template_can_do_what_it_was_seen_to_do(name: str, traits: Traits):
    assert probe(ChatTemplate(getattr(templates, name), bos_token="<s>", eos_token="</s>")) == traits


@pytest.mark.parametrize(
    ("dialect", "traits"),
    [("qwen3", ALL), ("hermes", replace(ALL, reasoning=False, thinking_switch=None))],
)
def test_our_own_templates_can_do_all_that_their_dialect_has(dialect: str, traits: Traits):
    assert probe(ChatTemplate(dialects.get(dialect).reference_template or "")) == traits


@pytest.mark.parametrize("source", ["", "{{ bos_token }}", "{{ raise_exception('no') }}", "{{ messages[0].content[:2] }}"])
def test_a_template_that_does_not_render_a_user_is_refused(source: str):
    with pytest.raises(TemplateRefusal):
        probe(ChatTemplate(source))


def test_a_switch_that_changes_nothing_is_none():
    assert probe(ChatTemplate(templates.CHATML + "{# enable_thinking #}{% set x = enable_thinking %}")).thinking_switch is None
