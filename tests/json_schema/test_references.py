"""The targets of references within a schema."""

from typing import Any

import pytest

from dragoman.json_schema.references import dereferenced, resolve

INTEGER = {"type": "integer"}
ROOT: dict[str, Any] = {
    "$id": "https://example.com/tool",
    "properties": {"left": {"anyOf": [{"type": "null"}, INTEGER]}, "": {"type": "null"}},
    "$defs": {
        "a/b": {"type": "array"},
        "m~n": {"type": "boolean"},
        "List<int>": {"type": "number"},
        "100%": {"type": "string"},
        "ü": {"type": "object"},
        "0": {"title": "zero"},
        "named": {"$anchor": "counter", "type": "integer"},
        "always": True,
    },
}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", ROOT),
        ("#/properties/left/anyOf/1", INTEGER),
        ("#/properties/", {"type": "null"}),
        ("#/$defs/a~1b", {"type": "array"}),
        ("#/$defs/m~0n", {"type": "boolean"}),
        ("#/$defs/List%3Cint%3E", {"type": "number"}),
        ("#/$defs/List<int>", {"type": "number"}),
        ("#/%24defs/a%7E1b", {"type": "array"}),
        ("#/$defs/100%25", {"type": "string"}),
        ("#/$defs/100%", {"type": "string"}),
        ("#/$defs/%C3%BC", {"type": "object"}),
        ("#/$defs/0", {"title": "zero"}),
        ("#counter", {"$anchor": "counter", "type": "integer"}),
        ("https://example.com/tool#/properties/left/anyOf/1", INTEGER),
    ],
)
def test_a_reference_is_a_json_pointer_or_an_anchor(reference: str, found: object) -> None:
    assert resolve(reference, ROOT) == found


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "#/properties/left/anyOf/2",
        "#/properties/left/anyOf/-1",
        "#/properties/left/anyOf/01",
        "#/properties/left/anyOf/" + "9" * 5000,
        "#/properties/left/anyOf/-",
        "#/$defs/always",
        "#/$defs/always/x",
        "#nowhere",
        "https://example.com/other#/properties/left",
        "https://example.com/properties/left",
        "tool.json",
    ],
)
def test_an_unresolvable_reference_allows_anything(reference: str) -> None:
    assert resolve(reference, ROOT) == ({} if reference else ROOT)


def test_a_chain_of_references_is_followed_to_its_end() -> None:
    links = {f"d{place}": {"$ref": f"#/$defs/d{place + 1}"} for place in range(3000)}
    root = {"$defs": {**links, "d3000": {"type": "integer", "properties": {"a": {}}}}}

    found = dereferenced({"$ref": "#/$defs/d0", "title": "Beside", "properties": {"b": {}}}, root)

    assert found == {"type": "integer", "title": "Beside", "properties": {"a": {}, "b": {}}}


def test_cyclic_references_end() -> None:
    root = {"$defs": {"a": {"$ref": "#/$defs/b", "title": "A"}, "b": {"$ref": "#/$defs/a"}, "self": {"$ref": "#/$defs/self"}}}

    assert dereferenced({"$ref": "#/$defs/a"}, root) == {"title": "A"}
    assert dereferenced({"$ref": "#/$defs/self"}, root) == {}
