"""Grammars for llguidance: each schema that does not compile is relaxed on its own, and reported."""

import json
from typing import Any

import llguidance
import pytest

from dragoman.constraints.lark import Grammar, Uncompilable, compiled, literals
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Ref, Repeat, Series, Text, Until
from dragoman.special_tokens import Segments

BYTES = llguidance.LLTokenizer("byte")


def grammar(root: Node, segments: dict[str, Segments] | None = None, **rules: Node) -> Grammar:
    return compiled(Constraint(root, "key", rules), segments or {})


def holds(made: Grammar, text: str) -> bool:
    reader = llguidance.LLMatcher(BYTES, made.text)
    assert not reader.get_error()
    written = text.encode()
    return bool(reader.try_consume_tokens(list(written)) == len(written) and reader.is_accepting())


def test_json_has_the_spaces_of_the_encoder() -> None:
    made = grammar(Json({"type": "object", "properties": {"a": {"type": "array"}, "b": {}}, "required": ["a"]}))
    assert holds(made, '{"a": [1, "ü 🦊"], "b": null}')
    assert not holds(made, '{"a":[1]}')
    assert not holds(made, '{ "a": [1] }')


def test_text_ends_at_its_ends() -> None:
    made = grammar(Series((Until(("</a>", "END")), Literal("!"), Text(without=("x>", "y>")))))
    assert holds(made, "any < text\n</a>!more x y")
    assert holds(made, "END!")
    assert not holds(made, "END!no x>")
    assert not holds(made, "END</a>!")
    assert not holds(grammar(Text(beginning='{"name": ')), ' \n{"name": 1')
    assert holds(grammar(Text(beginning='{"name": ')), 'It is {"name": 1')


def test_text_may_have_to_match() -> None:
    made = grammar(Until(("</p>",), ("[a-z/]+", "(?s:.{2,3})")))
    assert holds(made, "a/b</p>")
    assert not holds(made, "a</p>")
    assert not holds(made, "abcd</p>")
    assert not holds(made, "aB</p>")


def test_a_rule_may_refer_to_itself() -> None:
    made = grammar(Ref("tree"), tree=Series((Literal("("), Repeat(Ref("tree"), 0, 2), Literal(")"))))
    assert holds(made, "(()(()))")
    assert not holds(made, "(()()())")


def test_a_special_token_is_written_by_its_id() -> None:
    held = Constraint(Choice((Literal("<|call|>[f"), Until(("<|end|>", "stop")))), "key")
    assert literals(held) == {"<|call|>[f", "<|end|>", "stop"}
    text = compiled(held, {"<|call|>[f": (7, "[f"), "<|end|>": (9,)}).text
    assert '<[7]> "[f"' in text
    assert "<[9]>" in text
    assert "<|" not in text


RELAXED: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "string", "pattern": "^(?=a)b$"}, '"anything"', "patterns"),
    ({"type": "string", "format": "color"}, '"anything"', "patterns"),
    ({"type": "array", "minItems": 3, "maxItems": 2, "items": {"type": "integer"}}, "[1]", "bounds"),
    ({"type": "array", "items": {"$ref": "http://elsewhere/schema"}}, '["anything"]', "everything but the type"),
]


@pytest.mark.parametrize(("schema", "text", "what"), RELAXED, ids=[json.dumps(case[0]) for case in RELAXED])
def test_a_schema_that_does_not_compile_is_relaxed_as_little_as_possible(schema: dict[str, Any], text: str, what: str) -> None:
    made = grammar(Series((Json(schema), Json({"type": "integer", "minimum": 5}))))
    assert [words.partition(":")[0] for words in made.relaxed] == [what]
    assert holds(made, text + "7")
    assert not holds(made, text + "4")  # the other schema is not relaxed


@pytest.mark.slow
def test_many_large_tools_compile() -> None:
    tool = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z]{2,8}-[0-9]+$"},
            "size": {"type": "integer", "minimum": 0, "maximum": 10**15},
            "tree": {"$ref": "#/$defs/Node"},
            "note": {"anyOf": [{"type": "string", "maxLength": 5000}, {"type": "null"}]},
            "rows": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 1000},
            **{f"field_{number}": {"type": "string", "description": "words " * 8} for number in range(6)},
        },
        "required": ["name", "tree"],
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"value": {"type": "number"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
                "required": ["value"],
            }
        },
    }
    tools = [Series((Literal(f"tool_{number}: "), Json({**tool, "title": str(number)}))) for number in range(300)]
    assert sum(len(json.dumps(tool)) for _ in tools) > 260_000
    made = grammar(Choice(tools))
    assert holds(made, 'tool_17: {"name": "abc-1", "tree": {"value": 1, "next": {"value": 2}}}')
    assert not holds(made, 'tool_17: {"name": "abc-1", "tree": {"next": null}}')


def test_a_constraint_that_never_compiles_is_refused() -> None:
    with pytest.raises(Uncompilable):
        grammar(Ref("nowhere"))
