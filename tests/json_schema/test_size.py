"""The size of a schema, with recursive references and references of several spellings."""

from itertools import islice, permutations, product
from typing import Any

import pytest

from dragoman.json_schema import references
from dragoman.json_schema import size as schema_size
from dragoman.json_schema.size import counted, measured
from dragoman.limits import DEFAULT

LINKS: dict[str, Any] = {
    "a": {"properties": {"x": {"$ref": "#/$defs/b"}, "y": {"$ref": "#/$defs/c"}}},
    "b": {"items": {"$ref": "#/$defs/a"}},
    "c": {"anyOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/d"}]},
    "d": {"items": {"items": {"type": "string"}}},
}


def test_targets_of_references_add_to_the_depth_and_the_places() -> None:
    size = measured({"items": {"$ref": "#/$defs/d"}, "$defs": LINKS})

    assert (size.unfolded, size.ways) == (5, 5)


def test_mutually_recursive_definitions_are_as_deep_in_any_order() -> None:
    depths = {
        measured({"$ref": f"#/$defs/{first}", "$defs": dict(order)}).unfolded
        for order in permutations(LINKS.items())
        for first in "abc"
    }

    assert len(depths) == 1
    assert depths.pop() >= 12  # a, b, c and d once


def test_a_recursive_schema_counts_at_its_references() -> None:
    schema = {"properties": {"a": {"items": {"$ref": "#/properties/a/items"}}, "b": {"$ref": "#/properties/a"}}}

    assert measured(schema).nodes == 5
    assert measured(schema).unfolded >= 4
    assert measured({"$ref": "#"}).unfolded == 1


def test_a_target_is_walked_once_for_all_spellings_of_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[Any] = []
    containers = schema_size._containers

    def walking(value: Any) -> Any:
        walked.append(value)
        return containers(value)

    monkeypatch.setattr(schema_size, "_containers", walking)
    choices = islice(product(*((letter, f"%{ord(letter):02x}") for letter in "properties")), 500)
    spellings = ["".join(letters) for letters in choices]
    places = {f"p{number}": {"type": "string"} for number in range(1_000)}

    size = measured({"properties": places, "anyOf": [{"$ref": f"#/{spelling}"} for spelling in spellings]})

    assert size.nodes == 1_000 + 500 + 3
    assert len(walked) <= 5 * size.nodes


def test_counting_stops_at_the_limit() -> None:
    assert counted({"enum": [[]] * 1_000}, most=10).nodes == 11


@pytest.mark.parametrize(
    ("schema", "limit"),
    [
        ({"anyOf": [{"$ref": f"#name{number}"} for number in range(201)]}, "schema_named_references"),
        ({"anyOf": [{"$ref": "#/" + "x" * 500_000}]}, "reference_characters"),
        ({"allOf": [{"anyOf": [{"$ref": "#/x"}] * 900}] * 6}, "schema_references"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_references_beyond_a_limit_are_not_resolved(
    schema: dict[str, Any], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "resolve", lambda *_: pytest.fail("looked up"))

    excess = DEFAULT.schema_excess(schema)
    assert excess is not None
    assert excess.endswith(f"({limit})")
