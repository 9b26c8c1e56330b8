"""Python literals in calls become equivalent JSON."""

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.dialects.spec import KeywordArguments
from splits import same_at_every_split

from .reading import Reading, read

PYTHONIC = [
    dialect for dialect in dialects.BY_NAME.values() if dialect.calls and isinstance(dialect.calls.codec, KeywordArguments)
]
LFM = dialects.get("lfm2.5")
LITERALS = [
    ("{'x', 'y'}", ["x", "y"]),
    ("{1, 2.5, None}", [1, 2.5, None]),
    ("{(1, 2), 'a'}", [[1, 2], "a"]),
    ("{'only'}", ["only"]),
    ("{7}", [7]),
    ("{'a': {'x', 'y'}, 'b': {}}", {"a": ["x", "y"], "b": {}}),
    ("{1: 'a', None: 'b'}", {"1": "a", "None": "b"}),
    ("f'plain'", "plain"),
    ("f'{{braces}} é'", "{braces} é"),
    ('rf"a\\d{{2}}"', "a\\d{2}"),
    ("r'C:\\new\\'s'", "C:\\new\\'s"),
    ("b'bytes'", "bytes"),
    ("u'é'", "é"),
    ("Rb'''two\nlines'''", "two\nlines"),
    ('"""a "quoted" word"""', 'a "quoted" word'),
    ("'one ' 'two'\n  f'three' r'\\n'", "one twothree\\n"),
    ("('one '\n 'two')", "one two"),
    ("(5)", 5),
    ("((('x')))", "x"),
    ("(5,)", [5]),
    ("()", []),
    ("(1, (2), (3, 4))", [1, 2, [3, 4]]),
    ("[({'a': (1)}), 'b']", [{"a": 1}, "b"]),
    ("+7", 7),
    ("-.5", -0.5),
    ("5.", 5),
    ("1_000_000", 1000000),
    ("0xFF", 255),
    ("-0b101", -5),
    ("0o17", 15),
    ("1e999", None),
    ("float_", "float_"),
    ("nan", None),
    ("-inf", None),
    ("'\\x41\\u00e9\\t'", "Aé\t"),
]


def calls(arguments: str, tool: dict[str, Any] | None = None) -> Reading:
    """The reading of one call with these arguments, the same at every split."""
    raw = f"<|tool_call_start|>[find({arguments})]<|tool_call_end|>"
    return same_at_every_split(lambda pieces: read(LFM, list(pieces), {"find": tool or {}}), raw)


def arguments_of(reading: Reading) -> Any:
    """The arguments of the one complete call that was read."""
    [call] = reading.parts
    assert call["complete"]
    return json.loads(call["arguments"])


@pytest.mark.parametrize(("written", "value"), LITERALS)
def test_a_literal_becomes_its_value(written: str, value: Any) -> None:
    found = arguments_of(calls(f"a={written}, b=[{written}], c={{'k': {written}}}"))

    assert found == {"a": value, "b": [value], "c": {"k": value}}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("**{'query': 'a', 'limit': 2}", {"query": "a", "limit": 2}),
        ("query='a', **{'limit': {1, 2}}", {"query": "a", "limit": [1, 2]}),
        ("** {\n'query': 'a',\n}, limit=2", {"query": "a", "limit": 2}),
        ("**{}, query='a'", {"query": "a"}),
        ("query='a', **{}, limit=2", {"query": "a", "limit": 2}),
        ("query='a', **{}", {"query": "a"}),
        ("**{}", {}),
        ("'a', **{'limit': 2}", {"query": "a", "limit": 2}),
        ("f'a', (2)", {"query": "a", "limit": 2}),
        ("{'x', 'y'}, limit=2", {"query": ["x", "y"], "limit": 2}),
    ],
)
def test_arguments_may_be_positional_named_or_unpacked(written: str, value: Any) -> None:
    assert arguments_of(calls(written, {"properties": {"query": {}, "limit": {}}})) == value


@pytest.mark.parametrize("written", ["f'{x}'", "f'a{{b{c}'", "'a' + 'b'", "len('x')", "'x'.upper()", "x[0]", "'x'[0]"])
def test_a_call_with_an_expression_is_never_complete(written: str) -> None:
    for arguments in (f"a={written}", f"a=1, b=[{written}]", f"a='x', b={written}", f"a=1, **{written}", f"*[{written}]"):
        for part in calls(arguments).parts:
            assert not part.get("complete")
            assert "call" not in part or isinstance(json.loads(part["arguments"]), dict)


@pytest.mark.parametrize("dialect", PYTHONIC, ids=lambda dialect: dialect.name)
def test_every_dialect_with_python_calls_reads_literals(dialect: dialects.Dialect) -> None:
    assert dialect.calls is not None
    body = "find(q={'a'}, n=+7, s=f'x' 'y', **{'k': (1)})"
    raw = dialect.calls.open + (f"[{body}]" if dialect.calls.carrier.list_open else body) + dialect.calls.close

    reading = same_at_every_split(lambda pieces: read(dialect, list(pieces), {"find": {}}), raw)

    assert arguments_of(reading) == {"q": ["a"], "n": 7, "s": "xy", "k": 1}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXT, inner, max_size=3)
        | st.sets(st.integers(0, 9) | st.text("ab'\"", max_size=3), min_size=1, max_size=1)
    ),
    max_leaves=6,
)


def as_json(value: Any) -> Any:
    """A Python value with lists for tuples and sets."""
    match value:
        case dict():
            return {key: as_json(inner) for key, inner in value.items()}
        case list() | tuple() | set():
            return [as_json(inner) for inner in value]
        case _:
            return value


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), VALUES, max_size=3))
def test_the_repr_of_a_value_is_read_as_the_value(arguments: dict[str, Any]) -> None:
    written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    raw = f"<|tool_call_start|>[find({written})]<|tool_call_end|>"

    for pieces in ([raw], list(raw)):
        found = arguments_of(read(LFM, pieces, {"find": {}}))
        assert found == {key: as_json(ast.literal_eval(repr(value))) for key, value in arguments.items()}
