"""Schemas without the parts that no value satisfies."""

from typing import Any

import pytest

from dragoman.constraints import pruned as module
from dragoman.constraints.pruned import pruned
from dragoman.json_schema.references import rewritten


def _needs(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"$ref": f"#/$defs/{name}"}}, "required": ["a"]}


def test_definitions_that_require_false_are_removed() -> None:
    schema = {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": _needs("b"), "b": _needs("c"), "c": False}}

    assert pruned(schema) == {"anyOf": [{"type": "null"}], "$defs": {}}
    assert pruned(_needs("a") | {"$defs": schema["$defs"]}) is False


@pytest.mark.parametrize("names", ["abc", "cab", "bca"])
def test_definitions_in_a_cycle_are_removed_with_one_of_them(names: str) -> None:
    pair = {"a": {"$ref": "#/$defs/b"}, "x": {"$ref": "#/$defs/c"}}
    known: dict[str, Any] = {"a": _needs("b"), "b": {"properties": pair, "required": ["x"]}, "c": {"anyOf": [False]}}

    assert pruned({"items": {"$ref": "#/$defs/a"}, "$defs": {name: known[name] for name in names}}) == {
        "maxItems": 0,
        "$defs": {},
    }


def test_a_cycle_that_allows_values_is_kept() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/b"}}}, "b": {"$ref": "#/$defs/a"}}}

    assert pruned(schema) == schema


def test_each_definition_of_a_chain_is_pruned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Any] = []

    def looking(schema: Any, change: Any) -> Any:
        looked_at.append(schema)
        return rewritten(schema, change)

    monkeypatch.setattr(module, "rewritten", looking)
    links = 500

    made = pruned({"$defs": {**{f"d{link}": _needs(f"d{link + 1}") for link in range(links)}, f"d{links}": False}})

    assert made == {"$defs": {}}
    assert len(looked_at) <= 2 * links
