"""Arguments are fitted to the tool's schema if there is one way to do it, in every codec; valid ones are unchanged."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.api.anthropic.encoder import MessageEncoder
from dragoman.api.anthropic.fold import fold
from dragoman.conversation import ToolCall
from dragoman.dialects import Dialect
from dragoman.dialects.values.fit import Fit, fitted
from dragoman.json_schema.view import SchemaView
from dragoman.parts import CallDelta, Ending, StopReason, TokenCounts
from splits import same_at_every_split

from .reading import read

INTEGER, NUMBER, BOOLEAN, STRING = ({"type": kind} for kind in ("integer", "number", "boolean", "string"))
OBJECT = {"type": "object", "properties": {"n": INTEGER, "s": STRING}}
STRINGS, OBJECTS = {"type": "array", "items": STRING}, {"type": "array", "items": OBJECT}

CHANGED: list[tuple[Any, Any, Any]] = [
    (INTEGER, "50", 50),
    (INTEGER, " -7 ", -7),
    (INTEGER, "5.0", 5),
    (INTEGER, "007", 7),
    (INTEGER, '"5"', 5),
    (NUMBER, "1.5", 1.5),
    (NUMBER, "1e3", 1000.0),
    (NUMBER, ".5", 0.5),
    (BOOLEAN, "true", True),
    (BOOLEAN, "False", False),
    ({"type": ["integer", "null"]}, "null", None),
    ({"type": "integer", "nullable": True}, "12", 12),
    ({"anyOf": [INTEGER, {"type": "null"}]}, "12", 12),
    ({"anyOf": [INTEGER, {"const": "auto"}]}, "12", 12),
    ({"oneOf": [NUMBER, BOOLEAN]}, "true", True),
    ({"allOf": [{"type": ["string", "integer"]}, INTEGER]}, "3", 3),
    ({"$ref": "#/$defs/count"}, "3", 3),
    ({"enum": [1, 2, 3]}, "2", 2),
    ({"const": True}, "true", True),
    (STRING, 12, "12"),
    (STRING, True, "true"),
    ({"type": ["string", "null"]}, 1.5, "1.5"),
    ({"enum": ["1", "2"]}, 2, "2"),
    (OBJECTS, '[{"n": "1", "s": 2}]', [{"n": 1, "s": "2"}]),
    (OBJECT, '{"n": "1"}', {"n": 1}),
    (OBJECT, "{'n': 1, 's': \"it's\"}", {"n": 1, "s": "it's"}),
    (STRINGS, ' ["a", 1]\n', ["a", "1"]),
    (OBJECTS, {"n": "1"}, [{"n": 1}]),
    (OBJECTS, '{"n": "1"}', [{"n": 1}]),
    (STRINGS, "a.txt", ["a.txt"]),
    ({"type": "array", "items": INTEGER}, 5, [5]),
    ({"type": "array", "items": {"type": "array", "items": INTEGER}}, [["1"], "[2]"], [[1], [2]]),
    ({"type": "array", "prefixItems": [STRING, INTEGER], "items": BOOLEAN}, [1, "2", "true"], ["1", 2, True]),
    ({"type": "object", "additionalProperties": INTEGER}, {"x": "1", "y": 2}, {"x": 1, "y": 2}),
    ({"$ref": "#/$defs/tree"}, {"n": "1", "children": '[{"n": "2"}]'}, {"n": 1, "children": [{"n": 2}]}),
]

KEPT: list[tuple[Any, Any]] = [
    (STRING, "50"),
    (STRING, "true"),
    (STRING, "[1]"),
    (STRING, {"a": 1}),
    (STRING, [1]),
    (STRING, None),
    ({"type": ["string", "integer"]}, "50"),
    ({"type": ["string", "null"]}, "null"),
    ({"anyOf": [INTEGER, {}]}, "50"),
    ({"anyOf": [INTEGER, {"const": "5"}]}, "5"),
    ({}, "50"),
    (True, "50"),
    ({"$ref": "#/$defs/nowhere"}, "50"),
    ({"not": INTEGER}, "50"),
    (INTEGER, "many"),
    (INTEGER, "1.5"),
    (INTEGER, ""),
    (INTEGER, "12 apples"),
    (INTEGER, "NaN"),
    (INTEGER, 1.5),
    (INTEGER, True),
    (BOOLEAN, "yes"),
    (BOOLEAN, "1"),
    (BOOLEAN, 1),
    (OBJECT, "[1]"),
    (OBJECT, '{"n": 1'),
    (OBJECT, '{"n": 1} and more'),
    (OBJECTS, "buy milk"),
    (OBJECTS, [{"x": "1"}]),
    (STRINGS, "a.txt, b.txt"),
    (STRINGS, "[a"),
    ({"type": "array"}, "a"),
    ({"type": "object", "patternProperties": {"^x": STRING}, "additionalProperties": INTEGER}, {"x": "1"}),
    ({"anyOf": [{"properties": {"v": INTEGER}}, {"properties": {"v": STRING}}]}, {"v": "1"}),
]

DEFS = {
    "count": {"$ref": "#/$defs/whole"},
    "whole": INTEGER,
    "tree": {"type": "object", "properties": {"n": INTEGER, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
}


def fit(schema: Any, value: Any) -> tuple[Any, list[str]]:
    """The fitted value, the same at every split, and the repairs."""
    view = SchemaView({"type": "object", "properties": {"v": schema}, "$defs": DEFS})

    def written(pieces: list[str]) -> tuple[str, list[str]]:
        repairs: list[str] = []
        made = Fit(view, repairs)
        return "".join(map(made.write, pieces)), repairs

    text = json.dumps({"v": value}, ensure_ascii=False)
    whole, repairs = written([text])
    for cut in cuts(text):
        assert written([text[:cut], text[cut:]]) == (whole, repairs)
    assert written([text[start:end] for start, end in zip([0, *cuts(text)], [*cuts(text), len(text)], strict=True)])[0] == whole
    return json.loads(whole)["v"], repairs


def cuts(text: str) -> list[int]:
    """The positions where a codec may end a piece: not inside a word or an escape."""
    return [place for place in range(1, len(text)) if not re.match(r"[\w+.\\-]", text[place - 1]) and text[place] != "\\"]


@pytest.mark.clause("CC-9")
@pytest.mark.parametrize(("schema", "value", "wanted"), CHANGED)
def test_a_value_of_a_wrong_type_is_converted_if_there_is_one_way(schema: Any, value: Any, wanted: Any) -> None:
    found, repairs = fit(schema, value)

    assert found == wanted
    assert type(found) is type(wanted)
    assert set(repairs) == ({"type"} if value != wanted else set())


@pytest.mark.clause("CC-9")
@pytest.mark.parametrize(("schema", "value"), KEPT)
def test_any_other_value_is_unchanged(schema: Any, value: Any) -> None:
    assert fit(schema, value) == (value, [])


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, "", "1", "true", "null", "[1]", '{"a": 1}', "a", "1.0", " 2 ", "a, b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SCHEMAS = st.recursive(
    st.booleans()
    | st.just({})
    | st.sampled_from([{"$ref": "#/$defs/d"}, {"$ref": "#/properties/a"}, {"$ref": "#"}])
    | TYPES.map(lambda kind: {"type": kind})
    | st.lists(TYPES, min_size=1, max_size=3, unique=True).map(lambda kinds: {"type": kinds})
    | st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"enum": values})
    | SCALARS.map(lambda value: {"const": value}),
    lambda inner: (
        st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(
            lambda word: st.lists(inner, min_size=1, max_size=3).map(lambda parts: {word: parts})
        )
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda known: {"type": "object", "properties": known})
        | inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda others: {"type": "object", "additionalProperties": others})
        | st.tuples(inner, inner).map(lambda pair: {"prefixItems": [pair[0]], "items": pair[1]})
        | st.tuples(inner, TYPES).map(lambda pair: {"type": pair[1], "not": pair[0]})
    ),
    max_leaves=6,
)


@pytest.mark.clause("CC-9")
@given(st.dictionaries(st.sampled_from("abc"), SCHEMAS, max_size=3), SCHEMAS, st.dictionaries(st.sampled_from("abcd"), VALUES))
def test_valid_arguments_are_unchanged_byte_for_byte(properties: dict[str, Any], named: Any, arguments: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties, "$defs": {"d": named}}
    try:
        assume(jsonschema_rs.is_valid(schema, arguments))
    except ValueError:
        assume(False)
    text = json.dumps(arguments, indent=1)
    repairs: list[str] = []

    assert fitted(text, SchemaView(schema), repairs) == text
    assert repairs == []


@given(st.dictionaries(st.sampled_from("abc"), SCHEMAS, max_size=3), SCHEMAS, st.dictionaries(st.sampled_from("abcd"), VALUES))
def test_fitted_arguments_are_json(properties: dict[str, Any], named: Any, arguments: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": properties, "$defs": {"d": named}}
    once = fitted(json.dumps(arguments), SchemaView(schema), [])

    assert json.loads(once).keys() == arguments.keys()


WRITING = [dialect for dialect in dialects.BY_NAME.values() if dialect.calls is not None]
WRONG = {"count": "180000", "on": "true", "tags": '["a", "b"]', "todos": '[{"n": "1"}]', "name": "12"}
RIGHT = {"count": 180000, "on": True, "tags": ["a", "b"], "todos": [{"n": 1}], "name": "12"}
TYPED = {
    "type": "object",
    "properties": {"count": INTEGER, "on": BOOLEAN, "tags": STRINGS, "todos": OBJECTS, "name": STRING},
}


@pytest.mark.clause("CC-9")
@pytest.mark.parametrize("dialect", WRITING, ids=lambda dialect: dialect.name)
def test_arguments_fit_the_schema_in_every_dialect(dialect: Dialect) -> None:
    output = dialect.encode_calls([ToolCall("id", "set", WRONG)])

    reading = same_at_every_split(lambda pieces: read(dialect, list(pieces), {"set": TYPED}), output)

    [call] = reading.parts
    assert json.loads(call["arguments"]) == RIGHT
    assert call["complete"]


@pytest.mark.parametrize("dialect", WRITING, ids=lambda dialect: dialect.name)
def test_arguments_that_fit_are_not_repaired(dialect: Dialect) -> None:
    assert dialect.calls is not None
    output = dialect.encode_calls([ToolCall("id", "set", RIGHT)])

    reading = read(dialect, [output], {"set": TYPED})

    assert json.loads(reading.parts[0]["arguments"]) == RIGHT
    assert reading.repairs == []


def test_a_string_streams_where_the_schema_allows_one() -> None:
    view = SchemaView({"properties": {"s": {"type": ["string", "null"]}, "e": {"enum": ["a", "b"]}, "n": INTEGER}})
    made = Fit(view, [])

    assert made.write('{"s": "on') == '{"s": "on'
    assert made.write("e") == "e"
    assert made.write('", "e": "a') == '", "e": "a'
    assert made.write('", "n": "1') == '", "n": '
    assert made.write("2") == ""
    assert made.write('"}') == "12}"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}},
        {"properties": {"v": {"anyOf": [{"const": place} for place in range(5000)]}}},
        {"properties": {"v": {"allOf": [{"anyOf": [INTEGER, NUMBER, {"minimum": n}]} for n in range(40)]}}},
        {"properties": {"v": {"$ref": "#/$defs/0"}}, "$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(3000)}},
        {"properties": {"v": {"type": ["nonsense", 5], "enum": "x", "anyOf": [], "allOf": [7], "items": None}}},
        {"properties": {"v": {"$ref": "https://example.com/x"}, "w": {"$ref": 5}}},
        {"properties": [], "required": 5},
    ],
)
def test_a_hostile_or_invalid_schema_changes_nothing(schema: dict[str, Any]) -> None:
    text = '{"v": "5", "w": [1, {"v": "5"}]}'

    assert fitted(text, SchemaView(schema), []) == text


def test_a_spelled_value_nests_no_deeper_than_a_written_one() -> None:
    deep = "[" * 100 + "]" * 100
    value = json.dumps({"v": json.dumps([deep])})
    view = SchemaView({"properties": {"v": {"type": "array", "items": {"type": "array"}}}})

    made = fitted(value, view, [])

    assert depth(json.loads(made)) <= 128


def depth(value: Any) -> int:
    """The number of containers around the innermost value."""
    inner: Iterator[Any] = iter(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def test_work_is_linear_in_the_text() -> None:
    view = SchemaView({"properties": {"v": OBJECTS}})
    text = json.dumps({"v": json.dumps([{"n": "1", "s": "x" * 50}] * 2000)})
    made = Fit(view, [])
    choose = random.Random(0)
    pieces, start = [], 0
    for cut in cuts(text):
        if choose.random() < 0.3:
            pieces.append(text[start:cut])
            start = cut
    written = "".join(map(made.write, [*pieces, text[start:]]))

    assert json.loads(written) == {"v": [{"n": 1, "s": "x" * 50}] * 2000}


NUMBERS = ["NaN", "-Infinity", "1e999", ".5", "5.", "+1", "007", "1e308", "-0", "12345678901234567890123", "1E5"]


@pytest.mark.clause("SSE-20")
@pytest.mark.parametrize("number", NUMBERS)
def test_streamed_and_unstreamed_arguments_are_the_same_value(number: str) -> None:
    raw = f'<tool_call>{{"name": "plot", "arguments": {{"x": {number}, "y": [{number}]}}}}</tool_call>'
    parser = dialects.get("hermes").parser({"plot": {}}, thinking_open=False)
    parts = [*parser.feed(raw), *parser.finish(cut=False)]
    encoder = MessageEncoder("msg_1", "test")
    events = list(encoder.start(TokenCounts(0)))
    for part in [*parts, Ending(StopReason.TOOL_USE, TokenCounts(0))]:
        events += encoder.encode(part)

    streamed = "".join(part.json for part in parts if isinstance(part, CallDelta))
    unstreamed = json.loads(msgspec.json.encode(fold(events)))["content"][0]["input"]

    assert json.loads(streamed, parse_constant=pytest.fail) == unstreamed
    assert float("inf") not in (unstreamed["x"], -unstreamed["x"] if isinstance(unstreamed["x"], float) else 0)


def _doubled(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": made | {f"d{levels}": INTEGER}}


def test_equal_branches_and_recursive_references_are_followed_once() -> None:
    loop = {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}, INTEGER]}
    known = {f"d{n}": {"anyOf": [*({"$ref": f"#/$defs/d{m}"} for m in range(40)), INTEGER]} for n in range(40)}

    assert SchemaView({"$ref": "#/$defs/a", "$defs": {"a": loop}}).kinds == {"integer"}
    assert SchemaView({"$ref": "#/$defs/d0", "$defs": known}).kinds == {"integer"}
    assert SchemaView(_doubled(20)).kinds == {"integer"}


def test_the_total_steps_in_a_schema_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.json_schema.view._MOST_STEPS_IN_ALL", 100)
    view = SchemaView({"properties": {str(n): INTEGER for n in range(1_000)}})

    kinds = [view.member(str(n)).kinds for n in range(1_000)]

    assert kinds[0] == {"integer"}
    assert kinds[-1] == SchemaView({}).kinds
