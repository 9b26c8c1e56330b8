"""Tools whose schemas a template cannot render unchanged: nothing of them is lost or garbled."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest

import corpus
from dragoman import dialects
from dragoman.conversation import Tool
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate, Renderer

from . import templates
from .conversations import assistant, conversation_of, user
from .families import family_of

JSON_LISTING = "{{ '<tools>' + tools | tojson + '</tools>' }}"
_OPEN = "{% for tool in tools %}{% set f = tool.function %}{{ f.name + ': ' + f.description }}"
_EACH = _OPEN + "{% for name, p in f.parameters.properties.items() %}"
UPPER = templates.FULL.replace(
    JSON_LISTING, _EACH + "{{ ';' + name + ' ' + p['type'] | upper }}{{ '#' ~ p.description }}{% endfor %}{% endfor %}"
)
"""Prints types in capitals, and nothing inside a property."""
NO_PROPERTY_DESCRIPTIONS = templates.FULL.replace(
    JSON_LISTING, _EACH + "{{ ';' + name + ' ' + p['type'] | upper }}{% endfor %}{% endfor %}"
)
NO_DESCRIPTIONS = NO_PROPERTY_DESCRIPTIONS.replace("+ ': ' + f.description", "")
PLAIN_TYPES_ONLY = templates.FULL.replace(
    JSON_LISTING,
    _EACH + "{{ ';' + name + ' ' + {'string': 'str', 'integer': 'int', 'any': 'Any'}[p.type] ~ p.description }}{% endfor %}"
    "{% endfor %}",
)
SKIPS_KEYWORDS = UPPER.replace(
    "{{ ';' + name", "{% if name in ['type', 'description'] %}{% continue %}{% endif %}{{ ';' + name"
)
LISTINGS = {
    "types in capitals": UPPER,
    "no descriptions of properties": NO_PROPERTY_DESCRIPTIONS,
    "no descriptions": NO_DESCRIPTIONS,
    "plain types only": PLAIN_TYPES_ONLY,
    "properties named like keywords are skipped": SKIPS_KEYWORDS,
    "everything as JSON": templates.FULL,
}

_DEFINITIONS = {"Place": {"type": "object", "properties": {"latitude": {"type": "number"}}}}
PROPERTIES: Mapping[str, tuple[Any, tuple[str, ...]]] = {
    "a list of types": ({"type": ["string", "null"], "description": "Where."}, ("string", "null", "Where.")),
    "two types": ({"type": ["string", "integer"]}, ("string", "integer")),
    "no type": ({"description": "Anything."}, ("Anything.",)),
    "nothing": ({}, ()),
    "true": (True, ()),
    "a type or null": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, ("int", "null")),
    "one of two objects": (
        {"oneOf": [{"type": "object", "properties": {"left": {}}}, {"type": "object", "properties": {"right": {}}}]},
        ("left", "right"),
    ),
    "all of": ({"allOf": [{"type": "object", "properties": {"both": {"type": "string"}}}]}, ("both",)),
    "a reference": ({"$ref": "#/$defs/Place"}, ("latitude", "number")),
    "an array of references": ({"type": "array", "items": {"$ref": "#/$defs/Place"}}, ("latitude", "number")),
    "an enum without a type": ({"enum": ["ping", "pong"]}, ("ping", "pong")),
    "an enum of many kinds": ({"enum": ["ping", 7, True, None]}, ("ping", "7", "true", "null")),
    "a const": ({"const": "ping"}, ("ping",)),
    "objects inside": (
        {"type": "object", "properties": {"inner": {"type": "array", "items": {"type": "boolean"}}}},
        ("inner",),
    ),
}


def _tool(schema: Any, name: str = "city") -> Tool:
    return Tool("book", "Books.", {"type": "object", "properties": {name: schema}, "$defs": _DEFINITIONS})


@lru_cache(maxsize=4)
def _renderer(source: str, dialect: str) -> Renderer:
    return Renderer(inspect(ChatTemplate(source, bos_token="<s>", eos_token="</s>"), dialects.get(dialect)))


def _prompt(source: str, *tools: Tool, dialect: str = "qwen3") -> str:
    return _renderer(source, dialect).render(conversation_of(user("Hi"), tools=tools)).text


def _missing(text: str, words: tuple[str, ...]) -> list[str]:
    """The words that are not in the text, except for synonyms in TypeScript and Python."""
    seen = text.casefold()
    also = {"int": ("number",), "null": ("nullable", "optional", "none")}
    return [word for word in words if not any(other.casefold() in seen for other in (word, *also.get(word, ())))]


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("shape", PROPERTIES)
def test_nothing_of_a_property_is_lost_or_garbled(name: str, shape: str) -> None:
    schema, words = PROPERTIES[shape]
    text = _prompt(LISTINGS[name], _tool(schema))
    assert _missing(text, ("book", "city", *words)) == []
    assert "['STRING'" not in text


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("keyword", ["type", "description", "items", "properties", "ünï-code", "a b"])
def test_a_property_may_have_any_name(name: str, keyword: str) -> None:
    text = _prompt(LISTINGS[name], _tool({"type": "string"}, keyword))
    other = _prompt(LISTINGS[name], _tool({"type": "string"}, f"{keyword}q"))
    assert keyword in text
    assert f"{keyword}q" in other


def test_tools_that_the_template_renders_are_passed_unchanged() -> None:
    tool = _tool({"type": "string", "description": "Where."})
    assert ";city STRING#Where." in _prompt(UPPER, tool)
    assert '"$ref": "#/$defs/Place"' in _prompt(templates.FULL, _tool({"$ref": "#/$defs/Place"}))


def test_a_schema_is_passed_in_the_first_form_that_the_template_renders() -> None:
    assert ";city ANY#Anything." in _prompt(UPPER, _tool({"description": "Anything."}))
    assert ';city STRING#Where. (JSON Schema: {"type": ["string", "null"]})' in _prompt(
        UPPER, _tool({"type": ["string", "null"], "description": "Where."})
    )


def test_a_deep_or_circular_schema_is_still_rendered() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        deep = {"type": "object", "properties": {"inner": deep}}
    circle = Tool(
        "tree", "", {"type": "object", "properties": {"top": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"$ref": "#/$defs/N"}}}
    )
    text = _prompt(UPPER, _tool(deep), circle)
    assert _missing(text, ("book", "city", "tree", "top")) == []


@pytest.mark.clause("CACHE-4")
def test_how_tools_are_listed_does_not_depend_on_the_conversation() -> None:
    template = ChatTemplate(UPPER)
    renderer = Renderer(inspect(template, dialects.get("qwen3")))
    tools = [_tool(schema) for schema, _ in PROPERTIES.values()]
    first = renderer.render(conversation_of(user("Hi"), tools=tools)).text
    later = renderer.render(conversation_of(user("Hi"), assistant("['STRING', city"), user("So?"), tools=tools)).text
    assert later.startswith(first.removesuffix("<assistant><think></think>"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_real_template_loses_or_garbles_a_property() -> None:
    lost = []
    for name, source in corpus.templates().items():
        for shape, (schema, words) in PROPERTIES.items():
            text = _prompt(source, _tool(schema), dialect=family_of(name).name)
            missing = _missing(text, ("book", "city", *words))
            if missing or "['STRING'" in text:
                lost.append((name, shape, missing))
    assert lost == []
