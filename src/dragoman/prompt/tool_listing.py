"""Finds forms of a request's tools that the template renders completely.

Most templates print a tool as JSON and lose nothing. Others print each property in a form of their own, and garble or lose
what they do not support: a type that is a list or missing, alternatives, references, properties with names of keywords.
So every shape of a schema in a request is tested, with markers instead of its names: names and values must be rendered, and
another type in the same place must change the text. A property that fails is given in a simpler equivalent form, else as JSON
in the description of the property or of the tool; if that fails too, the dialect lists the tools.

The result depends on the tools only and never on the conversation, so that prompts stay append-only.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final

from dragoman.conversation import Tool
from dragoman.prompt import schema_forms as forms
from dragoman.prompt.profile import DEFAULT_VARIABLES
from dragoman.prompt.template import ChatTemplate, TemplateRefusal

Schema = Mapping[str, Any]
Function = dict[str, Any]

_RENDERS: Final = 600
_MUTATIONS: Final = 16
"""The most types of one shape that are tested."""
_REMEMBERED_BYTES: Final = 1_000_000
_USER: Final = {"role": "user", "content": "Uq1"}
_PLAIN: Final = {"type": "string", "description": "Dq4"}
_OTHER: Final = {"string": "integer", "integer": "boolean", "number": "string", "boolean": "string", "array": "string"}
_KEYWORDS: Final = frozenset((
    "type", "properties", "required", "description", "title", "default", "examples", "enum", "const", "format", "items",
    "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "additionalProperties", "patternProperties",
    "propertyNames", "minProperties", "maxProperties", "anyOf", "oneOf", "allOf", "not", "if", "then", "else",
    "nullable", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "pattern", "name", "parameters", "function", "arguments", "keys", "values", "get", "pop", "update", "copy", "clear",
    "setdefault", "popitem", "fromkeys", "index", "count",
))  # fmt: skip
"""Property names that a template may take for keywords or methods."""

Way = Callable[[Any, Schema], dict[str, Any]]


def _as_it_is(schema: Any, _: Schema) -> Any:
    if not isinstance(schema, Mapping):  # templates look up its type
        raise forms.TooLarge
    return schema


_WAYS: Sequence[Way] = (_as_it_is, forms.simplified, forms.described)


class ToolListing:
    """Chooses the form of tools for one template. `typed`: the template needs content as typed parts."""

    def __init__(self, template: ChatTemplate, *, typed: bool) -> None:
        self._template = template
        self._typed = typed
        self.verbatim = _is_verbatim(template, typed)

    def fitted(self, tools: Sequence[Tool]) -> list[Function] | None:
        """The tools in a form that the template renders completely; None if there is none."""
        functions = [tool.function for tool in tools]
        if self.verbatim:
            return functions
        try:
            encoded = json.dumps(functions)
        except RecursionError:
            return None
        fit = _remembered if len(encoded) <= _REMEMBERED_BYTES else _fit
        return fit(self._template, self._typed, encoded)


@lru_cache(maxsize=16)
def _remembered(template: ChatTemplate, typed: bool, encoded: str) -> list[Function] | None:
    return _fit(template, typed, encoded)


def _fit(template: ChatTemplate, typed: bool, encoded: str) -> list[Function] | None:
    trial = _Trial(template, typed)
    functions = json.loads(encoded)
    try:
        fitted = [trial.fit(function) for function in functions]
        text = _listing(template, typed, fitted)
        shown = all(_shows(text, name) for function in functions for name in _names(function))
    except (forms.TooLarge, TemplateRefusal, RecursionError):
        return None
    return fitted if shown else None


def _names(function: Function) -> Iterator[str]:
    yield function["function"]["name"]
    properties = function["function"]["parameters"].get("properties")
    yield from properties if isinstance(properties, Mapping) else ()


class _Trial:
    """Fits the tools of one request to the template. Raises `TooLarge` after `_RENDERS` renderings."""

    def __init__(self, template: ChatTemplate, typed: bool) -> None:
        self._template = template
        self._typed = typed
        self._cost = 0
        self._known: dict[str, bool] = {}

    def fit(self, tool: Function) -> Function:
        """The tool in a form that loses nothing, if the template renders descriptions."""
        function = tool["function"]
        root = function["parameters"]
        properties = root.get("properties")
        if not isinstance(properties, Mapping):
            properties = {}
        frame = _frame(root, properties)
        in_description: list[str] = []
        parameters = dict(root)
        if not self._passes(frame, _as_it_is, frame):
            parameters = {"type": "object", "properties": {}}
            if not _is_empty(root):
                in_description.append(forms.in_words(root, root, ""))
        if properties:
            parameters = {**parameters, "properties": {}, **({"required": root["required"]} if "required" in root else {})}
        for name, schema in properties.items():
            fitted = self._property(name, schema, root)
            if fitted is not None:
                parameters["properties"][name] = fitted
            else:
                in_description.append(f"(Parameter {name}: {forms.in_words(schema, root, '')})")
        words = " ".join([function["description"], *in_description]).strip() if in_description else function["description"]
        return {**tool, "function": {**function, "description": words, "parameters": parameters}}

    def _property(self, name: str, schema: Any, root: Schema) -> Any:
        """The property's schema in the first form that the template renders completely; None if there is none."""
        definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
        whole = {"type": "object", "properties": {name: schema}, **(definitions if _refers(schema) else {})}
        for way in _WAYS:
            try:
                if self._passes(whole, way, whole):
                    return way(schema, root)
            except forms.TooLarge:
                continue
        return None

    def _passes(self, parameters: Schema, way: Way, root: Schema) -> bool:
        """Whether the template renders parameters of this shape completely, with properties in this form."""
        shape = _shape(parameters)
        key = f"{_WAYS.index(way)}{json.dumps(shape)}"
        if key not in self._known:
            self._cost += 1 + min(_MUTATIONS, key.count('"type"'))
            if self._cost > _RENDERS:
                raise forms.TooLarge
            self._known[key] = _tried(self._template, self._typed, _WAYS.index(way), json.dumps(shape))
        return self._known[key]


@lru_cache(maxsize=4096)
def _tried(template: ChatTemplate, typed: bool, way: int, encoded: str) -> bool:
    shape = json.loads(encoded)
    try:
        return _Shown(template, typed, _WAYS[way]).holds(shape)
    except (forms.TooLarge, TemplateRefusal, RecursionError):
        return False


class _Shown:
    """Tests whether a template renders parameters of a shape completely."""

    def __init__(self, template: ChatTemplate, typed: bool, way: Way) -> None:
        self._template, self._typed, self._way = template, typed, way

    def holds(self, shape: Schema) -> bool:
        """Whether names and values are rendered, nothing is garbled, and another type changes the text."""
        text = self._text(shape)
        needles = [*_needles(shape), *(["JSON Schema"] if self._way is forms.described else [])]
        return (
            all(_shows(text, needle) for needle in needles)
            and not _garbled(text)
            and all(self._differs(text, other) for other in _mutations(shape))
            and all(self._prints_name(text, shape, name) for name in forms.names(shape) if name in _KEYWORDS)
            and not self._prints_nothing(text, shape)
        )

    def _text(self, shape: Schema) -> str:
        given = {name: self._way(schema, shape) for name, schema in (shape.get("properties") or {}).items()}
        rest = shape if self._way is _as_it_is else {"type": "object"}
        parameters = {**rest, "properties": given} if "properties" in shape else dict(shape)
        function = {"name": "probe_tool", "description": "Dq3", "parameters": parameters}
        return _listing(self._template, self._typed, [{"type": "function", "function": function}])

    def _differs(self, text: str, other: Schema) -> bool:
        try:
            return self._text(other) != text
        except (TemplateRefusal, forms.TooLarge):
            return True

    def _prints_name(self, text: str, shape: Schema, name: str) -> bool:
        """Whether a property with the name of a keyword is rendered like one with another name."""
        other = f"{name}q"
        renamed = forms.plain(shape, lambda own: other if own == name else own, lambda words: words)
        return self._text(renamed).replace(other, name) == self._text(
            forms.plain(shape, lambda own: own, lambda words: words)
        ).replace(other, name)

    def _prints_nothing(self, text: str, shape: Schema) -> bool:
        """Whether a missing type is printed as an empty text, or as the null value of Python or JSON."""
        for place, node in enumerate(forms.nodes(shape)):
            if _is_untyped(node):
                needled = deepcopy(dict(shape))
                next(node for number, node in enumerate(forms.nodes(needled)) if number == place)["type"] = "tq9"
                try:
                    known = self._text(needled).casefold()
                except (TemplateRefusal, forms.TooLarge):
                    continue
                if any(text.casefold() == known.replace("tq9", word) for word in ("", "none", "null", "undefined")):
                    return True
        return False


def _shape(parameters: Schema) -> Any:
    """The parameters with markers for names and texts, the same for all schemas of this shape. Raises `TooLarge`."""
    known: dict[str, str] = {}

    def renamed(name: str) -> str:
        return name if name in _KEYWORDS else known.setdefault(name, f"pq{len(known)}x")

    def replaced(words: str) -> str:
        return "Dq5" if words == "description" else known.setdefault(f"={words}", f"vq{len(known)}x")

    return forms.plain(parameters, renamed, replaced)


def _needles(shape: Any) -> Iterator[str]:
    """The texts that must be rendered: property names, and string values."""
    for node in forms.nodes(shape):
        if isinstance(node.get("properties"), dict):
            yield from node["properties"]
        values = [*(node["enum"] if isinstance(node.get("enum"), list) else []), node.get("const")]
        yield from (value for value in values if isinstance(value, str))
        if isinstance(node.get("description"), str):
            yield node["description"]


def _mutations(shape: Any) -> Iterator[Schema]:
    """The shape with another type in one place, for each place."""
    count = sum(1 for _ in forms.nodes(shape))
    made = 0
    for place in range(1, count):
        other = deepcopy(shape)
        node = next(node for number, node in enumerate(forms.nodes(other)) if number == place)
        if _changed(node):
            made += 1
            if made > _MUTATIONS:
                raise forms.TooLarge
            yield other


def _changed(node: dict[str, Any]) -> bool:
    """Change the type of a node, if it has one. Returns whether it did."""
    declared = node.get("type")
    if isinstance(declared, list):
        other = next(name for name in ("boolean", "string", "integer", "object", "tq8") if name not in declared)
        without = [name for name in declared if name != "null"]
        node["type"] = without if len(without) < len(declared) > 1 else [*declared[:-1], other]
        return True
    for keyword in ("anyOf", "oneOf"):
        parts = node.get(keyword)
        if isinstance(parts, list) and {"type": "null"} in parts and len(parts) > 1:
            parts.remove({"type": "null"})
            return True
    if isinstance(declared, str) and declared in _OTHER and not ({"items", "enum", "const", "prefixItems"} & node.keys()):
        node["type"] = _OTHER[declared]
        return True
    values = node.get("enum")
    if isinstance(values, list) and any(not isinstance(value, str) for value in values):
        node["enum"] = [
            not value if isinstance(value, bool) else 7331 if not isinstance(value, str) else value for value in values
        ]
        return True
    if "const" in node and not isinstance(node["const"], str):
        node["const"] = 7331
        return True
    if node.get("nullable") is True:
        del node["nullable"]
        return True
    return False


def _frame(root: Schema, properties: Schema) -> dict[str, Any]:
    """The parameters with one plain property instead of all, and with definitions only if they are still referenced."""
    frame = {name: value for name, value in root.items() if name not in ("properties", "required", "$defs", "definitions")}
    if _refers(frame):
        frame |= {name: root[name] for name in ("$defs", "definitions") if name in root}
    if properties:
        frame["properties"] = {"pq4": _PLAIN}
    return frame


def _is_untyped(node: Schema) -> bool:
    return not ({"type", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "not", "properties", "items"} & node.keys())


def _is_empty(root: Schema) -> bool:
    return not (root.keys() - {"type", "properties", "required", "$schema", "additionalProperties", "title", "description"})


def _refers(schema: Any) -> bool:
    return '"$ref"' in json.dumps(schema)


def _garbled(text: str) -> bool:
    """Whether a list of types is printed as a Python list."""
    types = "array|boolean|integer|null|number|object|string"
    return re.search(rf"\['(?:{types})'(?:, '(?:{types})')*\]", text, re.IGNORECASE) is not None


def _shows(text: str, words: str) -> bool:
    """Whether the text contains the words, plain or as a JSON string."""
    return words in text or any(json.dumps(words, ensure_ascii=ascii_only)[1:-1] in text for ascii_only in (False, True))


def _listing(template: ChatTemplate, typed: bool, functions: Sequence[Function]) -> str:
    """The rendering of a prompt with these tools. Raises `TemplateRefusal`."""
    content: Any = [{"type": "text", "text": "Uq1"}] if typed else "Uq1"
    return template.render([{**_USER, "content": content}], **{**DEFAULT_VARIABLES, "tools": list(functions)})


_EVERYTHING: Final = {
    "type": "object",
    "properties": {
        "pq0x": {"type": ["string", "null"], "description": "Dq5"},
        "type": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/nq0"}], "default": None},
        "pq1x": {"description": "Dq6", "items": [True, {}], "enum": [1, "vq0x", None, False, {"a": []}]},
    },
    "required": ["type"],
    "additionalProperties": False,
    "$defs": {"nq0": {"const": 1.5}},
}


def _is_verbatim(template: ChatTemplate, typed: bool) -> bool:
    """Whether parameters of any content are printed as JSON."""
    function = {"name": "probe_tool", "description": "Dq3", "parameters": _EVERYTHING}
    try:
        text = _listing(template, typed, [{"type": "function", "function": function}])
    except TemplateRefusal:
        return False
    squeezed = re.sub(r"\s+", "", text)
    return any(re.sub(r"\s+", "", json.dumps(_EVERYTHING, sort_keys=sort_keys)) in squeezed for sort_keys in (False, True))
