"""Constraints as llama.cpp's own grammars, for builds of it without llguidance."""

from typing import Any

import pytest

from constraints.gbnf_reader import allows
from dragoman.constraints.gbnf import gbnf
from dragoman.constraints.lark import Uncompilable
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Ref, Repeat, Series, Text, Until

QUOTED = r"'([^'\\\x00-\x1f]|\\['\\nrt])*'"
CLOSED: dict[str, Any] = {"type": "object", "additionalProperties": False}
TREE = {"properties": {"v": {"type": "number"}, "next": {"$ref": "#/$defs/N"}}, "required": ["v"], **CLOSED}

NODES: list[tuple[Node, list[str], list[str]]] = [
    (Literal('a"\\\n[é]'), ['a"\\\n[é]'], ["", "a"]),
    (Text(), ["", "any < text\n 🦊"], []),
    (Text(("x>", "y>")), ["", "more x y", "x", "xx"], ["x>", "no xy> more", "xx>"]),
    (Text(beginning=' {"n": '), ["", "  ", '{"n', '{"N": 1', 'It is {"n": 1'], ['{"n": ', ' \n{"n":1', ' {"n": 1']),
    (Text(("ab",), "aa"), ["a", "ba", "ca a"], ["aa", "ab", " aab"]),
    (Until(("</a>", "END")), ["any < text\n</a>", "END", "</</a>", "EEND"], ["", "text", "END!", "</a>END", "x</a></a>"]),
    (Until(("aab",)), ["aaab", "aab"], ["aa", "aabb"]),
    (Pattern("[0-9]{1,4}"), ["1", "1234"], ["", "12345", "a"]),
    (Pattern(QUOTED), ["''", r"'it\'s'"], ["'", "'a'b'", "'\n'"]),
    (Pattern(r"a|(b\.)+c?"), ["a", "b.b.c"], ["ab.", "bxc"]),
    (Series((Literal("a"), Series(()), Literal("b"))), ["ab"], ["a", "b"]),
    (Choice((Literal("a"), Literal("bc"))), ["a", "bc"], ["abc"]),
    (Repeat(Literal("a"), 2), ["aa", "aaa"], ["a"]),
    (Repeat(Choice((Literal("a"), Literal("b"))), 0, 2), ["", "ab"], ["aba"]),
]

SCHEMAS: list[tuple[Any, list[str], list[str]]] = [
    ({}, ['{"a": [1, {"b": null}], "c": "d"}', "-1.5e3", "true"], ["x", "01", '{"a":1}', "[1 ]"]),
    ({"type": "string"}, ['""', '"ü 🦊 \\n \\u00e9"'], ['"', '"\n"', "5", '"\\x"']),
    ({"type": "string", "minLength": 1, "maxLength": 2}, ['"a"', '"\\n\\n"'], ['""', '"abc"']),
    ({"type": ["integer", "null"]}, ["-5", "null"], ["1.5", '"5"']),
    ({"enum": ["a", 1, None]}, ['"a"', "1", "null"], ['"b"', "a"]),
    ({"const": {"a": [1]}}, ['{"a": [1]}'], ['{"a":[1]}', "{}"]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, ["[true]", "[true, false]"], ["[]", "[1]"]),
    ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, ["[]", "[null]"], ["[null, null]"]),
    ({"type": "array", "prefixItems": [{"const": 1}], "items": False}, ["[1]"], ["[]", "[1, 1]"]),
    ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, ["[1, 2]"], ["[1]", "[1, 1]"]),
    (
        {"properties": {"a": {"type": "null"}, "b": {}, "c": {"const": 0}}, "required": ["b"], **CLOSED},
        ['{"b": 1}', '{"a": null, "b": [], "c": 0}', '{"b": 1, "c": 0}'],
        ["{}", '{"a": null}', '{"b": 1, "a": null}', '{"b": 1, "d": 1}', '{, "b": 1}', '{"b": 1, }'],
    ),
    ({"properties": {"a": {"const": 1}, "b": {"const": 2}}, **CLOSED}, ["{}", '{"b": 2}', '{"a": 1, "b": 2}'], ['{"a": 2}']),
    ({"type": "object", "additionalProperties": {"const": 1}}, ["{}", '{"x": 1, "y": 1}'], ['{"x": 2}']),
    ({"type": "object", "required": ["a"]}, ['{"a": 1}', '{"a": 1, "b": 2}'], ["{}"]),
    ({"anyOf": [{"type": "null"}, {"properties": {"x": {"const": "k"}}, "required": ["x"]}], **CLOSED}, ['{"x": "k"}'], ["{}"]),
    ({"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}], **CLOSED}, ['{"a": 1}'], ["{}", '{"a": 2}']),
    ({"$ref": "#/$defs/N", "$defs": {"N": TREE}}, ['{"v": 1, "next": {"v": 2}}'], ['{"v": 1, "next": 2}', "{}"]),
    ({"type": "string", "pattern": "^a$", "format": "date"}, ['"b"'], ["1"]),
    ({"type": "array", "maxItems": 1000, "minItems": 1000}, ["[]", "[1]"], ["{}"]),
    ({"properties": {"a": False, "b": {}}, **CLOSED}, ['{"b": 1}'], ['{"a": 1}']),
]


def written(root: Node, **rules: Node) -> str:
    return gbnf(Constraint(root, "key", rules))


@pytest.mark.parametrize(("node", "allowed", "refused"), NODES, ids=[str(node)[:40] for node, *_ in NODES])
def test_every_node_allows_its_texts_and_no_others(node: Node, allowed: list[str], refused: list[str]) -> None:
    grammar = written(node)
    assert [text for text in allowed if not allows(grammar, text)] == []
    assert [text for text in refused if allows(grammar, text)] == []


@pytest.mark.parametrize(("schema", "allowed", "refused"), SCHEMAS, ids=[str(schema)[:40] for schema, *_ in SCHEMAS])
def test_every_schema_allows_its_values_and_no_others(schema: Any, allowed: list[str], refused: list[str]) -> None:
    grammar = written(Json(schema))
    assert [text for text in allowed if not allows(grammar, text)] == []
    assert [text for text in refused if allows(grammar, text)] == []


def test_a_rule_may_refer_to_itself() -> None:
    grammar = written(Ref("tree"), tree=Series((Literal("("), Repeat(Ref("tree"), 0, 2), Literal(")"))))
    assert allows(grammar, "(()(()))")
    assert not allows(grammar, "(()()())")


def test_schemas_of_one_grammar_do_not_mix_their_references() -> None:
    one, two = ({"$ref": "#/$defs/N", "$defs": {"N": {"const": value}}} for value in (1, 2))
    grammar = written(Series((Json(one), Literal(" "), Json(two))))
    assert allows(grammar, "1 2")
    assert not allows(grammar, "1 1")


@pytest.mark.parametrize("node", [Pattern("(?s:.)"), Pattern(r"\d+"), Pattern("^a"), Json(False)])  # type: ignore[arg-type]
def test_what_cannot_be_written_is_refused(node: Node) -> None:
    with pytest.raises(Uncompilable):
        written(node)
