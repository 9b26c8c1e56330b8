"""Chat templates: what they may use, and that they cannot access anything else."""

import re
from datetime import datetime
from typing import Any

import pytest

from dragoman.prompt import ChatTemplate, TemplateRefusal

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "So?"}]


def render(source: str, **variables: Any) -> str:
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>").render(MESSAGES, **variables)


ESCAPES = r"""
''.__class__.__mro__[1].__subclasses__()
''['__class__']['__mro__']
(''|attr('__class__')).mro()
(1).__add__(1)
messages.__class__.__base__.__subclasses__()
messages.__len__()
messages.append.__self__
().__iter__()
cycler.__init__.__globals__.os.popen('id').read()
joiner.__init__.__globals__
namespace.__init__.__globals__
lipsum.__globals__['os'].system('id')
strftime_now.__globals__['json']
raise_exception.__code__.co_consts
'{0.__class__.__mro__}'.format('')
'{0.__class__.__init__.__globals__}'.format(cycler)
'{x.__class__.__mro__}'.format_map({'x': ''})
('{0.__class__.__mro__}'|attr('format'))('')
('{0.__class__.__init__.__globals__}'|attr('format'))(cycler)
['{0.__class__.__init__}'] | map('format', cycler) | list
[''] | map(attribute='__class__.__mro__') | list
[''] | sum(attribute='__class__')
self._TemplateReference__context.environment
self.__init__.__globals__
request.application.__globals__
get_flashed_messages.__globals__
config.items()
caller()
debug()
open('/etc/passwd').read()
import_module('os')
''|attr('__class__')
''|attr('__class__')|attr('__mro__')
'{0.__class__}'.format('')
'{x.__class__}'.format_map({'x': ''})
messages|attr('append')
lipsum.__globals__
cycler('a').__init__
"""

NOTHINGS = r"""
''.__class__
''['__class__']
messages.append
raise_exception.__code__
self._TemplateReference__context
self.__init__
self.__class__
self.__class__.__init__
''.join.__self__
config
"""

MUTATIONS = """
messages.append(1)
messages.insert(0, 1)
messages.extend([1])
messages.pop()
messages.clear()
messages.sort()
messages.reverse()
messages.remove(messages[0])
messages[0].update(role='x')
messages[0].setdefault('x', 1)
messages[0].pop('role')
messages[0].popitem()
messages[0].clear()
(messages|list).append(1)
namespace(x=messages).x.append(1)
"""


@pytest.mark.parametrize("expression", ESCAPES.strip().splitlines())
def test_no_value_gives_access_to_python_objects(expression: str) -> None:
    with pytest.raises(TemplateRefusal):
        render("{{ " + expression + " }}")
    with pytest.raises(TemplateRefusal):
        render("{% set x = " + expression + " %}{{ x }}")


@pytest.mark.parametrize("expression", NOTHINGS.strip().splitlines())
def test_a_forbidden_attribute_is_undefined(expression: str) -> None:
    assert render("{{ " + expression + " }}") == ""


@pytest.mark.parametrize("expression", MUTATIONS.strip().splitlines())
def test_a_template_cannot_change_a_conversation(expression: str) -> None:
    before = repr(MESSAGES)
    with pytest.raises(TemplateRefusal):
        render("{{ " + expression + " }}")
    assert repr(MESSAGES) == before


@pytest.mark.parametrize(
    "source",
    [
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% from '/etc/passwd' import x %}",
        "{% extends '/etc/passwd' %}",
        "{% do messages.append(1) %}",
        "{% debug %}",
        "{% trans %}x{% endtrans %}",
    ],
)
def test_there_are_no_files_and_no_other_extensions(source: str) -> None:
    with pytest.raises(TemplateRefusal):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ range(10**9) | list }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ 'x' * 10**18 }}",
        "{{ [0] * 10**18 }}",
        "{{ 'x'.center(10**18) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{{ messages[9].role }}",
        "{{ nothing.at.all }}",
        "{{ {'a': nothing} | tojson }}",
        "{{ 'x'.encode('nope') }}",
        "{{ [1] | slice(0) | list }}",
        "{{ strftime_now(5) }}",
        "{{ raise_exception() }}",
        "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    ],
)
def test_every_error_in_a_template_is_a_refusal(source: str) -> None:
    with pytest.raises(TemplateRefusal):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x if }}",
        "{% if %}",
        "{% generation %}",
        "{% filter nope %}x{% endfilter %}",
        "{% break %}",
        "{% macro f(a, a) %}{% endmacro %}",
        "{% set None = 1 %}",
        "{% for a in b %}" * 30 + "{% endfor %}" * 30,
        "{% if a %}" * 120 + "{% endif %}" * 120,
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ 1" + "+1" * 5000 + " }}",
        "{{ " + "9" * 5000 + " }}",
    ],
    ids=range(12),
)
def test_a_source_that_does_not_compile_is_a_refusal(source: str) -> None:
    with pytest.raises(TemplateRefusal, match="does not compile"):
        ChatTemplate(source)


def test_a_refusal_has_the_message_of_the_template() -> None:
    with pytest.raises(TemplateRefusal, match=r"^Conversation roles must alternate$"):
        render("{{ raise_exception('Conversation roles must alternate') }}")


def test_an_error_without_a_message_has_the_name_of_its_class() -> None:
    with pytest.raises(TemplateRefusal, match="TemplateError"):
        render("{{ raise_exception('') }}")


@pytest.mark.clause("CACHE-4")
@pytest.mark.parametrize(
    ("filtered", "text"),
    [
        ("tojson", '{"z": "<b> & \'ü\' 🦊", "a": [1, 2.5, true, null]}'),
        ("tojson(indent=1)", '{\n "z": "<b> & \'ü\' 🦊",\n "a": [\n  1,\n  2.5,\n  true,\n  null\n ]\n}'),
        ("tojson(ensure_ascii=true)", '{"z": "<b> & \'\\u00fc\' \\ud83e\\udd8a", "a": [1, 2.5, true, null]}'),
        ("tojson(separators=(',', ':'))", '{"z":"<b> & \'ü\' 🦊","a":[1,2.5,true,null]}'),
        ("tojson(sort_keys=true)", '{"a": [1, 2.5, true, null], "z": "<b> & \'ü\' 🦊"}'),
        ("tojson | safe + '<'", '{"z": "<b> & \'ü\' 🦊", "a": [1, 2.5, true, null]}<'),
    ],
)
def test_json_is_written_as_in_training(filtered: str, text: str) -> None:
    assert render("{{ x | " + filtered + " }}", x={"z": "<b> & 'ü' 🦊", "a": [1, 2.5, True, None]}) == text


def test_the_date_is_available() -> None:
    before = datetime.now().astimezone().strftime("%d %b %Y")
    text = render("{{ strftime_now('%d %b %Y') }}")
    assert text in (before, datetime.now().astimezone().strftime("%d %b %Y"))
    assert re.fullmatch(r"\d\d \w+ \d{4}", text)


def test_loops_support_break_and_continue() -> None:
    skip, leave = "{% if i == 1 %}{% continue %}{% endif %}", "{% if i == 4 %}{% break %}{% endif %}"
    assert render("{% for i in range(9) %}" + skip + leave + "{{ i }}{% endfor %}") == "023"


def test_generation_blocks_have_no_effect() -> None:
    source = (
        "{% for m in messages %}{{ m.role }}{% if m.role == 'assistant' %}{% generation %}: {{ m.content }}{{ loop.index }}"
        "{% endgeneration %}{% endif %};{% endfor %}"
    )
    assert render(source) == "user;assistant: Hello2;user;"


def test_blocks_leave_no_empty_lines() -> None:
    assert render("{% if true %}\n  {% set x = 1 %}\nyes\n{% endif %}\n{{ x }}") == "yes\n1"


def test_a_template_gets_its_tokens_the_messages_and_the_variables() -> None:
    contents = "{{ messages | map(attribute='content') | join(',') }}"
    source = "{{ bos_token }}" + contents + "{{ extra }}{{ add_generation_prompt }}{{ eos_token }}"
    assert render(source, extra=5) == "<s>Hi,Hello,So?5True</s>"
    assert render(source, generation_prompt=False) == "<s>Hi,Hello,So?False</s>"


def test_renderings_do_not_share_state() -> None:
    template = ChatTemplate("{{ x }}{% set x = 1 %}{% set ns = namespace(y=1) %}{{ ns.y }}")
    assert [template.render(MESSAGES), template.render(MESSAGES)] == ["1", "1"]


def test_a_client_cannot_write_jinja() -> None:
    assert (
        ChatTemplate("{{ messages[0].content }}").render([{"role": "user", "content": "{{ 1 + 1 }}{% x"}]) == "{{ 1 + 1 }}{% x"
    )
