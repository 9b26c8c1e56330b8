"""The constraint on a call's arguments in each codec, by the tool's schema.

JSON is left to the engine. In codecs without escapes, a string is any text without its closer: a model without a constraint
could not write a closer inside a string either.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from dragoman.constraints.tree import Choice, Json, Literal, Node, Pattern, Ref, Repeat, Series, Until, one_of
from dragoman.dialects.spec import (
    Codec,
    ElementArguments,
    JsonArguments,
    KeywordArguments,
    LiteralArguments,
    TaggedArguments,
)
from dragoman.dialects.tag_writer import element, json_type, literal_key, parameter
from dragoman.json_schema.place import Place
from dragoman.json_schema.references import Schema, dereferenced

_PLACEHOLDER = "\ufdd0"
_NOTHING = Series(())
_NAME = Pattern("[A-Za-z_][A-Za-z0-9_]{0,63}")
_PYTHON_STRING = Pattern(r"'([^'\\\x00-\x1f]|\\['\\nrt])*'")
_STRING_KEYWORDS = frozenset({"pattern", "format", "minLength", "maxLength"})
"""The keywords of a schema that restrict a string."""
_ANY = "(?s:.*)"
_MAX_DEPTH = 24
_ITEMS_IN_A_RULE = 8
_MAX_REPEAT = 256
"""The largest number of elements that is enforced while decoding."""


class ArgumentConstraints:
    """Builds the nodes for the tools of one request. `rules` collects the rules that recursive schemas refer to."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.rules: dict[str, Node] = {}
        self._named: dict[tuple[int, str, str], str] = {}
        self._depth = 0

    def of(self, schema: Schema) -> Node:
        """The arguments of one call as its codec writes them, from after the name up to the call's closer."""
        place = Place(schema, schema)
        match self._codec:
            case JsonArguments():
                return Json({"type": "object", **schema})
            case TaggedArguments() as codec:
                return self._tagged(codec, _object(place))
            case KeywordArguments():
                return Series((self._listed(self._keywords(_object(place)), ", "), Literal(")")))
            case LiteralArguments() as codec:
                return self._literal_object(codec, _object(place))
            case ElementArguments() as codec:
                return self._children(codec, _object(place))

    def _tagged(self, codec: TaggedArguments, place: Place) -> Node:
        between = Literal(codec.between)
        if _has_any_properties(place):
            before, after = parameter(codec, _PLACEHOLDER, _PLACEHOLDER * 2, "string").split(_PLACEHOLDER * 2)
            head, tail = before.split(_PLACEHOLDER)
            return Series((between, Repeat(Series((Literal(head), _NAME, Literal(tail), Until((after,)), between)))))
        return Series(
            (
                between,
                *(
                    _optional(Series((_parameter(codec, name, inner), between)), required)
                    for name, inner, required in place.properties
                ),
            )
        )

    def _listed(self, items: Sequence[tuple[Node, bool]], separator: str) -> Node:
        """All required and any optional items in their order, with the separator between two.

        The rest of the list is a rule of its own after every few items, so that the tree is not as deep as the list is long.
        """
        rest: Node = _NOTHING
        first: Node = _NOTHING
        for number, (node, required) in enumerate(reversed(items), 1):
            follows, begins = Series((Literal(separator), node, rest)), Series((node, rest))
            rest, first = (follows, begins) if required else (Choice((follows, rest)), Choice((begins, first)))
            if number % _ITEMS_IN_A_RULE == 0:
                rest, first = self._rule(rest), self._rule(first)
        return first

    def _rule(self, node: Node) -> Ref:
        name = f"rest{len(self.rules)}"
        self.rules[name] = node
        return Ref(name)

    def _keywords(self, place: Place) -> list[tuple[Node, bool]]:
        return [(Series((Literal(f"{name}="), _python(inner))), required) for name, inner, required in place.properties]

    def _literal(self, codec: LiteralArguments, place: Place) -> Node:
        return self._recursive(place, "", partial(self._literal_value, codec))

    def _literal_value(self, codec: LiteralArguments, place: Place) -> Node:
        if (values := place.values) is not None:
            strings = [Literal(codec.quote + value + codec.quote) for value in values if isinstance(value, str)]
            others = [Json({"const": value}) for value in values if not isinstance(value, str)]
            return one_of([*strings, *others])
        match place.kind:
            case "object":
                return self._literal_object(codec, place)
            case "array":
                least, most = _bounds(place)
                inner = self._literal(codec, place.items)
                more = Repeat(Series((Literal(","), inner)), max(least - 1, 0), None if most is None else max(most - 1, 0))
                filled = Series((inner, more))
                return Series((Literal("["), filled if least else _NOTHING if most == 0 else _optional(filled), Literal("]")))
            case "string" | "":
                return Series((Literal(codec.quote), Until((codec.quote,), _string_patterns(place))))
            case _:
                return Json(place.standalone)

    def _literal_object(self, codec: LiteralArguments, place: Place) -> Node:
        items = [
            (Series((Literal(literal_key(codec, name) + ":"), self._literal(codec, inner))), required)
            for name, inner, required in place.properties
        ]
        return Series((Literal("{"), self._listed(items, ","), Literal("}")))

    def _children(self, codec: ElementArguments, place: Place) -> Node:
        return Series([_optional(self._element(codec, name, inner), required) for name, inner, required in place.properties])

    def _element(self, codec: ElementArguments, name: str, place: Place) -> Node:
        return self._recursive(place, name, partial(self._element_of, codec, name))

    def _element_of(self, codec: ElementArguments, name: str, place: Place) -> Node:
        values = place.values
        kind = place.kind or (json_type(values[0]) if values else "string")
        before, after = element(codec, name, _PLACEHOLDER, kind).split(_PLACEHOLDER)
        return Series((Literal(before), self._content(codec, place, kind, after)))

    def _content(self, codec: ElementArguments, place: Place, kind: str, after: str) -> Node:
        """The content of an element, and its closer."""
        if kind == "object":
            return Series((self._children(codec, place), Literal(after)))
        if kind == "array":
            return Series((Repeat(self._element(codec, codec.item, place.items), *_bounds(place)), Literal(after)))
        return _plain(place, kind, after)

    def _recursive(self, place: Place, context: str, build: Callable[[Place], Node]) -> Node:
        """A value that may contain others: references become rules, each built once, so that they may be recursive.

        `build` makes the node of a place without unions and references; `context` is anything else that the node depends on.
        """
        reference = place.schema.get("$ref")
        if isinstance(reference, str):
            key = (id(place.root), reference, context)
            if key not in self._named:
                name = self._named[key] = f"ref{len(self._named)}"
                self.rules[name] = self._recursive(Place(dereferenced(place.schema, place.root), place.root), context, build)
            return Ref(self._named[key])
        self._depth += 1
        if self._depth > _MAX_DEPTH:  # a schema that expands without end in other ways
            place = Place({}, place.root)
        branches = place.branches()
        nodes = (
            [self._recursive(branch, context, build) for branch in branches]
            if branches
            else [build(simple) for simple in place.alternatives()]
        )
        self._depth -= 1
        return one_of(nodes)


def _object(place: Place) -> Place:
    """The arguments as one object; of a union of objects, the first one."""
    return next((simple for simple in place.alternatives() if simple.kind in ("object", "")), Place({}, place.root))


def _has_any_properties(place: Place) -> bool:
    """Whether an object names no properties and may have any."""
    return not place.properties and place.schema.get("additionalProperties") is not False


def _parameter(codec: TaggedArguments, name: str, place: Place) -> Node:
    alternatives = place.alternatives()
    free = next((simple for simple in alternatives if simple.kind in ("string", "") and simple.values is None), None)
    if free is not None:  # any text: what another alternative allows is such a text too
        alternatives = [
            free,
            *(simple for simple in alternatives if codec.type_attribute and simple.kind not in ("string", "")),
        ]
    made = []
    for simple in alternatives:
        values = simple.values
        kind = simple.kind or (json_type(values[0]) if values else "string")
        written = "number" if kind == "integer" else kind
        before, after = parameter(codec, name, _PLACEHOLDER, written).split(_PLACEHOLDER)
        made.append(Series((Literal(before), _plain(simple, kind, after))))
    return one_of(made)


def _plain(place: Place, kind: str, after: str) -> Node:
    """A value as plain text with its closer: strings as they are, anything else as JSON."""
    values = place.values
    if values is not None:
        texts = [value if isinstance(value, str) else None for value in values]
        nodes: list[Node] = [Literal(text + after) for text in texts if text is not None]
        others = [value for value, text in zip(values, texts, strict=True) if text is None]
        return one_of([*nodes, *([Series((Json({"enum": others}), Literal(after)))] if others else [])])
    if kind == "string":
        return Until((after,), _string_patterns(place))
    return Series((Json(place.standalone), Literal(after)))


def _python(place: Place) -> Node:
    """A value as a Python literal; containers as JSON."""
    made: list[Node] = []
    for simple in place.alternatives():
        if (values := simple.values) is not None:
            made += [Literal(repr(value)) for value in values]
        else:
            match simple.kind:
                case "boolean":
                    made += [Literal("True"), Literal("False")]
                case "null":
                    made.append(Literal("None"))
                case "string" | "" if not _STRING_KEYWORDS & simple.schema.keys():
                    made.append(_PYTHON_STRING)
                case _:
                    made.append(Json(simple.standalone))
    return one_of(made)


def _string_patterns(place: Place) -> tuple[str, ...]:
    """The restrictions of a schema on a string, as regular expressions that match the whole string."""
    found = []
    pattern, least, most = (place.schema.get(word) for word in ("pattern", "minLength", "maxLength"))
    if isinstance(pattern, str) and not ("|" in pattern and re.search(r"^\^|\$$", pattern)):
        from_start, to_end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
        inner = pattern[from_start : len(pattern) - to_end]
        found.append(f"{'' if from_start else _ANY}(?:{inner}){'' if to_end else _ANY}")
    if isinstance(least, int) or isinstance(most, int):
        found.append(f"(?s:.{{{least or 0},{'' if most is None else most}}})")
    return tuple(found)


def _bounds(place: Place) -> tuple[int, int | None]:
    least, most = place.schema.get("minItems"), place.schema.get("maxItems")
    return (
        min(least, _MAX_REPEAT) if isinstance(least, int) else 0,
        most if isinstance(most, int) and most <= _MAX_REPEAT else None,
    )


def _optional(node: Node, required: bool = False) -> Node:
    return node if required else Repeat(node, 0, 1)
