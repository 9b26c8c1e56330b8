"""Constraints as structural tags. tests/engines/vllm_real tests them with xgrammar."""

from typing import Any

import pytest

from dragoman.constraints.structural_tag import TooLarge, structural_tag
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Ref, Repeat, Series, Text, Until


def const(text: str) -> dict[str, Any]:
    return {"type": "const_string", "value": text}


def schema(held: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": held, "max_whitespace_cnt": 1}


INNER = {"type": "object", "properties": {"x": False, "y": {"anyOf": [False, {"type": "null"}]}}}
TAGS: list[tuple[Node, dict[str, Any]]] = [
    (Literal("a<call>b"), {"type": "sequence", "elements": [const("a"), {"type": "token", "token": 7}, const("b")]}),
    (Text(("</a>",)), {"type": "any_text", "excludes": ["</a>"]}),
    (Text(), {"type": "any_text"}),
    (Until(("</a>", "<b>")), {"type": "tag", "begin": "", "content": {"type": "any_text"}, "end": ["</a>", "<b>"]}),
    (
        Until((".",), ("(?s:.{2})", "[a-z]+")),
        {"type": "sequence", "elements": [{"type": "regex", "pattern": "[a-z]+"}, const(".")]},
    ),
    (Pattern("[0-9]"), {"type": "regex", "pattern": "[0-9]"}),
    (Json({"type": "null"}), schema({"type": "null"})),
    (Json(INNER), schema({"type": "object", "properties": {"y": {"anyOf": [{"type": "null"}]}}})),
    (Series((Literal("a"), Series(()), Literal("b"))), {"type": "sequence", "elements": [const("a"), const("b")]}),
    (Series(()), const("")),
    (Choice((Literal("a"), Json({"anyOf": [False]}))), const("a")),
    (Repeat(Literal("a"), 0, 1), {"type": "optional", "content": const("a")}),
    (Repeat(Literal("a"), 2), {"type": "repeat", "min": 2, "max": -1, "content": const("a")}),
]


@pytest.mark.parametrize(("node", "tag"), TAGS, ids=[str(type(node).__name__) for node, _ in TAGS])
def test_every_node_has_its_format(node: Node, tag: dict[str, Any]) -> None:
    made = structural_tag(Constraint(node, "key"), {"a<call>b": ("a", 7, "b")})
    assert made == {"type": "structural_tag", "format": tag}


def test_a_recursive_rule_ends_at_the_depth_limit() -> None:
    tree = Series((Literal("("), Choice((Literal("x"), Ref("tree"))), Literal(")")))
    made: Any = structural_tag(Constraint(Ref("tree"), "key", {"tree": tree}), {})["format"]
    for _ in range(5):
        assert made["elements"][1]["type"] == "or"
        made = made["elements"][1]["elements"][1]
    assert made["elements"] == [const("("), const("x"), const(")")]


def test_a_rule_without_an_end_is_refused() -> None:
    with pytest.raises(TooLarge):
        structural_tag(Constraint(Ref("tree"), "key", {"tree": Series((Literal("("), Ref("tree")))}), {})


def test_a_schema_is_relaxed_by_its_step() -> None:
    held = Constraint(Json({"type": "string", "pattern": "a", "maxLength": 9}), "key")
    formats = [structural_tag(held, {}, step)["format"]["json_schema"] for step in range(4)]
    assert formats == [
        {"type": "string", "pattern": "a", "maxLength": 9},
        {"type": "string", "maxLength": 9},
        {"type": "string"},
        {"type": "string"},
    ]
