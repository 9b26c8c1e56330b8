"""The forms of a tool's schema that are enforced while decoding."""

from typing import Any

from dragoman.json_schema.forms import ordered, unrolled
from dragoman.json_schema.place import Place


def test_required_properties_come_first_each_group_in_its_own_order() -> None:
    made = ordered({"properties": {"a": {}, "b": {}, "c": {}, "d": {}}, "required": ["d", "b", ["no name"]]})

    assert [*made["properties"]] == ["b", "d", "a", "c"]


def test_a_place_says_which_properties_are_required() -> None:
    place = Place({"properties": {"a": {}, "b": {}}, "required": ["b", "x", ["no name"]]}, {})

    assert [(name, is_required) for name, _, is_required in place.properties] == [("a", False), ("b", True), ("x", True)]


def test_only_definitions_that_reach_themselves_get_a_copy_per_level() -> None:
    known: dict[str, Any] = {
        "tree": {"items": {"$ref": "#/$defs/tree"}},
        "even": {"items": {"$ref": "#/$defs/odd"}},
        "odd": {"items": {"$ref": "#/$defs/even"}},
        "user": {"items": {"$ref": "#/$defs/tree"}},
        "leaf": {"type": "string"},
    }

    made = unrolled({"$defs": known}, 2)["$defs"]

    assert [*made] == ["tree", "tree__1", "even", "even__1", "odd", "odd__1", "user", "leaf"]
    assert made["tree__1"] == {"items": False}
