"""Hostile templates that would run forever, exhaust memory or access objects: all stay within limits."""

from time import thread_time

import pytest
from jinja2 import nodes

import corpus
from dragoman.inspection.capability_probe import probe
from dragoman.prompt import ChatTemplate, TemplateRefusal, meter, template
from dragoman.prompt.sandbox import Sandbox
from dragoman.prompt.sandbox_filters import FILTERS, GLOBALS

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]

_GROW = "{%% set ns = namespace(x=%s) %%}" + "{%% for i in range(90) %%}{%% set ns.x = %s %%}{%% endfor %%}%s"


def _grow(start: str, step: str, use: str = "") -> str:
    return _GROW % (start, step, use)


STOPPED = {
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "a loop over loops that writes": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "a filtered loop": "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}{% endfor %}",
    "lists in loops": "{% for a in range(99999) %}{% set x = range(99999) | list %}{% endfor %}",
    "sums in loops": "{% for a in range(99999) %}{% set x = range(99999) | sum %}{% endfor %}",
    "sorting in loops": "{% for a in range(99999) %}{% set x = range(99999) | sort %}{% endfor %}",
    "selecting in loops": "{% for a in range(99999) %}{% set x = range(99999) | select('odd') | list %}{% endfor %}",
    "a macro that calls itself twice": "{% macro f(n) %}"
    "{% if n %}{{ f(n - 1) ~ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "a macro that calls itself for ever": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a block that calls itself": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "a recursive loop": "{% for a in [1, 2, 3] recursive %}{{ loop([1, 2, 3]) }}{% endfor %}",
    "slices": "{% for x in [] | slice(10**9) %}{% endfor %}",
    "batches": "{{ [1] | batch(10**9, 'x') | list | length }}",
    "a product": "{{ 'a' * 10**9 }}",
    "a product turned round": "{{ 10**9 * 'a' }}",
    "a product of lists": "{{ ([1] * 10**9) | length }}",
    "a product of products": "{{ ('a' * 10**5 * 10**5) | length }}",
    "a product that is not shown": "{% if false %}{{ 'a' * 10**9 }}{% endif %}{{ ('a' * 10**9) | length }}",
    "a power": "{{ 10**(10**8) }}",
    "a power of powers": "{{ (((2**4000)**4000)**4000) > 1 }}",
    "a negative shift by division": "{{ (10**4000 * 10**4000) > 1 }}",
    "squares": _grow("3", "ns.x * ns.x"),
    "a percent width": "{{ '%1000000000s' % 'a' }}",
    "a percent width among others": "{{ '%d and %0999999999d' % (1, 2) }}",
    "a percent width as an argument": "{{ '%*s' % (10**9, 'a') }}",
    "a percent precision": "{{ '%.1000000000f' % 1.5 }}",
    "the format filter": "{{ '%1000000000s' | format('a') }}",
    "str.format": "{{ '{:>1000000000}'.format('a') }}",
    "str.format, the width as an argument": "{{ '{:>{}}'.format('a', 10**9) }}",
    "str.format, a precision": "{{ '{:.1000000000f}'.format(1.5) }}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "rjust": "{{ 'a'.rjust(10**9) }}",
    "center": "{{ 'a'.center(10**9) }}",
    "the center filter": "{{ 'a' | center(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "expandtabs": "{{ '\\t'.expandtabs(10**9) }}",
    "indent": "{{ 'a' | indent(10**9, true) }}",
    "indent of many lines": "{{ ('\\n' * 10**6) | indent(9999) | length }}",
    "JSON's indent": "{{ [1] | tojson(indent=10**9) }}",
    "JSON's separators": "{{ range(99999) | list | tojson(separators=('x' * 10**6, 'y')) | length }}",
    "replace": "{{ ('a' * 10**6).replace('a', 'b' * 10**6) | length }}",
    "the replace filter": "{{ ('a' * 10**6) | replace('a', 'b' * 10**6) | length }}",
    "join": "{{ ('a' * 10**6).join(['b'] * 10**5) | length }}",
    "the join filter": "{{ (['b'] * 10**5) | join('a' * 10**6) | length }}",
    "translate": "{{ 'a'.translate({97: 'b'}) }}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "texts that double": _grow("'a'", "ns.x + ns.x"),
    "texts that double by ~": _grow("'a'", "ns.x ~ ns.x"),
    "texts that double in a block": _grow("'a'", "ns.x").replace(
        "{% set ns.x = ns.x %}", "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"
    ),
    "texts that double by join": _grow("'a'", "[ns.x, ns.x] | join"),
    "texts that double by format": _grow("'a'", "'%s%s' % (ns.x, ns.x)"),
    "texts that double by str.format": _grow("'a'", "'{0}{0}'.format(ns.x)"),
    "texts that double by replace": _grow("'ab'", "ns.x.replace('a', ns.x)"),
    "texts that double in a row": "{% set x = 'aaaaaaaa' %}" + "{% set x = x ~ x %}" * 60 + "{{ x | length }}",
    "lists that double": _grow("[1]", "ns.x + ns.x"),
    "lists in lists": _grow("[1]", "[ns.x, ns.x]", "{{ ns.x | tojson }}"),
    "lists in lists, compared": _grow("[1]", "[ns.x, ns.x]", "{{ ns.x == ns.x + [] }}"),
    "tuples in tuples": _grow("(1,)", "(ns.x, ns.x)", "{{ {ns.x: 1} }}"),
    "dictionaries in dictionaries": _grow("{}", "{'a': ns.x, 'b': ns.x}", "{{ ns.x }}"),
    "dictionaries made by dict": _grow("{}", "dict(a=ns.x, b=ns.x)", "{{ ns.x }}"),
    "lists of lists by products": "{% set x = [[1] * 9999] * 9999 %}{{ [x] * 9999 | tojson }}",
    "long output": "{% set x = 'a' * 10**7 %}{% for i in range(99) %}{{ x }}{% endfor %}",
    "rounding": "{{ 1.5 | round(10**9, 'ceil') }}",
    "slow steps in a loop": "{% set x = 'a' * 10**7 %}{% for i in range(99999) %}{{ x[1:] == x[:-1] }}{% endfor %}",
    "percent formats of one text": "{{ ('%(a)s' * 10**6) % {'a': 'x' * 10**6} }}",
    "str.format of one text": "{{ ('{0}' * 10**6).format('x' * 10**6) }}",
    "the format filter of one text": "{{ ('%(a)s' * 10**6) | format(a='x' * 10**6) }}",
    "join of what map makes": "{% set x = 'a' * 10**6 %}{{ range(99999) | map('replace', '', x) | join | length }}",
    "str.join of what map makes": "{% set x = 'a' * 10**6 %}{{ ''.join(range(99999) | map('replace', '', x)) | length }}",
    "a list of what map makes": "{{ (['%9999s'] * 99999) | map('format', 1) | list | length }}",
    "nesting": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "nested loops in the source": "{% for a in [1] %}" * 500 + "{% endfor %}" * 500,
    "a long source": "{{ 1 }}" * 200_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", STOPPED)
def test_a_template_that_does_not_end_is_stopped(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "SECONDS", 0.1)
    before = thread_time()
    with pytest.raises(TemplateRefusal) as refusal:
        ChatTemplate(STOPPED[kind]).render(MESSAGES)
    assert thread_time() - before < 4
    assert len(str(refusal.value)) < 2000


def test_the_refusal_of_a_template_that_exceeds_a_limit_names_the_limit() -> None:
    with pytest.raises(TemplateRefusal, match="a text of more than 64,000,000 characters"):
        probe(ChatTemplate("{{ messages[0].content }}{{ 'a' * 10**9 }}"))


def test_the_inspection_of_a_slow_template_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "INSPECTION_SECONDS", 0.2)
    slow = ChatTemplate("{{ messages[0].content }}{% for a in range(50000) %}{% set x = a ~ a %}{% endfor %}")
    with pytest.raises(TemplateRefusal, match=r"takes more than 0\.2 seconds to inspect"), slow.inspected():
        probe(slow)


@pytest.mark.parametrize(
    "expression",
    [
        "['{}'] | map(attribute='format') | list",
        "['a', 'b'] | min(attribute='format')",
        "['a'] | groupby('format')",
        "['a'] | unique(attribute='format') | list",
        "['a'] | sort(attribute='format')",
        "['a'] | selectattr('format') | map(attribute='format') | list",
        "['a'] | map('attr', 'format') | list",
        "[''] | map(attribute='join.__self__') | list",
        "'a'['format']",
        "messages[0]['items']",
        "messages['append']",
        "lipsum",
        "cycler",
        "joiner",
        "raise_exception.__globals__",
        "namespace.__init__",
        "'{0.format}'.format('a')",
        "'{0[0]}'.format('a')",
    ],
)
def test_filters_and_subscripts_access_items_only(expression: str) -> None:
    try:
        text = ChatTemplate("{{ " + expression + " }}").render(MESSAGES)
    except TemplateRefusal:
        return
    assert not any(word in text for word in ("method", "function", "object", "class"))


def test_common_template_code_works() -> None:
    source = (
        "{%- set ns = namespace(text='', calls=[]) %}{% for m in messages %}{% set ns.calls = ns.calls + [m.role] %}"
        "{% set ns.text = ns.text ~ m['content'] + ('-' * 3) %}{% if loop.last %}{{ loop.length }}{% endif %}{% endfor %}"
        "{{ ns.text }}{{ ns.calls | join(',') }}{{ '%s=%d' % ('a', 7 % 4) }}{{ '{}:{name}'.format(1, name='x') }}"
        "{{ messages[0] | dictsort }}{{ [1, 2] | tojson(indent=2) | indent(4) }}{{ dict(a=[1])['a'][0] }}{{ 2 ** 3 }}"
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | first }}{{ (1, 2) + (3,) }}"
    )
    assert ChatTemplate(source).render(MESSAGES) == (
        "2Hi---Hello---user,assistanta=31:x[('content', 'Hi'), ('role', 'user')][\n      1,\n      2\n    ]18Hi(1, 2, 3)"
    )


@pytest.mark.slow
def test_every_filter_and_test_of_the_real_templates_is_supported() -> None:
    missing = set()
    for source in corpus.templates().values():
        tree = Sandbox().parse(source)
        missing |= {node.name for node in tree.find_all(nodes.Filter)} - FILTERS.keys() - {"counted loop"}
        missing |= {node.name for node in tree.find_all(nodes.Test)} - Sandbox().tests.keys()
    assert missing == {"from_json"}  # not in Jinja; templates use it only in branches that are not rendered
    assert GLOBALS.keys() == {"namespace", "dict", "raise_exception", "strftime_now"}
