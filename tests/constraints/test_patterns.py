"""Patterns of strings that contain characters which JSON writes with a backslash."""

import json
from typing import Any

import pytest

from dragoman.constraints.patterns import readable, separated
from dragoman.constraints.tree import Json

from .test_lark import grammar, holds


@pytest.mark.clause("TOOL-11", "STR-3")
@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        (r'^a"[0-9]+"$', ['a"12"'], ['a"', 'a"12', "a12"]),
        ("^a\n[0-9]$", ["a\n1"], ["a\n", "a1"]),
        (r"^a\n[0-9]$", ["a\n1"], ["a\n", "a1"]),
        (r"^a\\[0-9]$", ["a\\1"], ["a\\", "a1"]),
        (r"^a\x22(b|c)\t?$", ['a"b', 'a"c\t'], ['a"', "ab"]),
        (r'^["][0-9]$', ['"1'], ['"', "1"]),
        (r'^[^"]+"(?:1|2)$', ['x\n"1'], ['x"', '"1']),
        (r"^(?:\+[^\n]*\n)+$", ['+x"y\n+\n'], ["+x", "x\n"]),
    ],
)
def test_what_follows_an_escaped_character_is_enforced(pattern: str, matches: list[str], others: list[str]) -> None:
    made = grammar(Json({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}, "required": ["a"]}))
    assert made.relaxed == []
    held = {text: holds(made, json.dumps({"a": text})) for text in (*matches, *others)}
    assert held == dict.fromkeys(matches, True) | dict.fromkeys(others, False)


@pytest.mark.parametrize("pattern", ["^[a-z]+$", r"\d{3}-\d\bx", '[^"]', '["a]', r"[\]\"]", "(?i:ab)|c"])
def test_other_patterns_are_unchanged(pattern: str) -> None:
    assert separated(pattern) == pattern


def test_only_patterns_are_changed() -> None:
    schema: dict[str, Any] = {"properties": {"pattern": {"enum": ['"', {"pattern": '"'}]}}, "items": {"pattern": '"'}}
    assert readable(schema) == {**schema, "items": {"pattern": '["\uffff]'}}
    assert readable(True) is True
