"""What the arguments of a call may look like in each codec, by the tool's schema.

JSON is left to the engine. Where strings are written without escapes, a string is any text without its closer: what a closer
inside a string would look like, the model could not write without a constraint either.
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

_HOLE = "\ufdd0"
_NOTHING = Series(())
_NAME = Pattern("[A-Za-z_][A-Za-z0-9_]{0,63}")
_PYTHON_STRING = Pattern(r"'([^'\\\x00-\x1f]|\\['\\nrt])*'")
_CHARACTER = frozenset({"pattern", "format", "minLength", "maxLength"})
"""What a schema may say of a string."""
_ANY = "(?s:.*)"
_DEEPEST = 24
_ITEMS_IN_A_RULE = 8
_LONGEST_REPEAT = 256
"""More elements than this are not counted while decoding."""


class Arguments:
    """Builds the nodes for the tools of one request. `rules` collects what recursive schemas refer to."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.rules: dict[str, Node] = {}
        self._named: dict[tuple[int, str, str], str] = {}
        self._depth = 0

    def of(self, schema: Schema) -> Node:
        """The arguments of one call, as its codec writes them, from behind the name up to the call's closer."""
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
        if _is_open(place):
            before, after = parameter(codec, _HOLE, _HOLE * 2, "string").split(_HOLE * 2)
            head, tail = before.split(_HOLE)
            return Series((between, Repeat(Series((Literal(head), _NAME, Literal(tail), Until((after,)), between)))))
        return Series(
            (
                between,
                *(_maybe(Series((_parameter(codec, name, inner), between)), must) for name, inner, must in place.properties),
            )
        )

    def _listed(self, items: Sequence[tuple[Node, bool]], separator: str) -> Node:
        """Some of these in their order, those that must be there at least, with the separator between two.

        What may follow after every few items is a rule of its own, so that no tree is as deep as the list is long.
        """
        behind: Node = _NOTHING
        first: Node = _NOTHING
        for number, (node, must) in enumerate(reversed(items), 1):
            follows, begins = Series((Literal(separator), node, behind)), Series((node, behind))
            behind, first = (follows, begins) if must else (Choice((follows, behind)), Choice((begins, first)))
            if number % _ITEMS_IN_A_RULE == 0:
                behind, first = self._rule(behind), self._rule(first)
        return first

    def _rule(self, node: Node) -> Ref:
        name = f"rest{len(self.rules)}"
        self.rules[name] = node
        return Ref(name)

    def _keywords(self, place: Place) -> list[tuple[Node, bool]]:
        return [(Series((Literal(f"{name}="), _python(inner))), must) for name, inner, must in place.properties]

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
                return Series((Literal("["), filled if least else _NOTHING if most == 0 else _maybe(filled), Literal("]")))
            case "string" | "":
                return Series((Literal(codec.quote), Until((codec.quote,), _patterns(place))))
            case _:
                return Json(place.standalone)

    def _literal_object(self, codec: LiteralArguments, place: Place) -> Node:
        items = [
            (Series((Literal(literal_key(codec, name) + ":"), self._literal(codec, inner))), must)
            for name, inner, must in place.properties
        ]
        return Series((Literal("{"), self._listed(items, ","), Literal("}")))

    def _children(self, codec: ElementArguments, place: Place) -> Node:
        return Series([_maybe(self._element(codec, name, inner), must) for name, inner, must in place.properties])

    def _element(self, codec: ElementArguments, name: str, place: Place) -> Node:
        return self._recursive(place, name, partial(self._element_of, codec, name))

    def _element_of(self, codec: ElementArguments, name: str, place: Place) -> Node:
        values = place.values
        kind = place.kind or (json_type(values[0]) if values else "string")
        before, after = element(codec, name, _HOLE, kind).split(_HOLE)
        return Series((Literal(before), self._content(codec, place, kind, after)))

    def _content(self, codec: ElementArguments, place: Place, kind: str, after: str) -> Node:
        """What stands in an element, its closer included."""
        if kind == "object":
            return Series((self._children(codec, place), Literal(after)))
        if kind == "array":
            return Series((Repeat(self._element(codec, codec.item, place.items), *_bounds(place)), Literal(after)))
        return _plain(place, kind, after)

    def _recursive(self, place: Place, context: str, build: Callable[[Place], Node]) -> Node:
        """A value that may hold others: references become rules, each built once, so that they may be recursive.

        `build` makes the node of a place without unions and references; `context` is what else it depends on.
        """
        reference = place.schema.get("$ref")
        if isinstance(reference, str):
            key = (id(place.root), reference, context)
            if key not in self._named:
                name = self._named[key] = f"ref{len(self._named)}"
                self.rules[name] = self._recursive(Place(dereferenced(place.schema, place.root), place.root), context, build)
            return Ref(self._named[key])
        self._depth += 1
        if self._depth > _DEEPEST:  # a schema that unfolds for ever in other ways
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
    """The arguments as one object: unions of objects are not told apart, their properties are those of the first."""
    return next((simple for simple in place.alternatives() if simple.kind in ("object", "")), Place({}, place.root))


def _is_open(place: Place) -> bool:
    """An object that names no properties, and may have any."""
    return not place.properties and place.schema.get("additionalProperties") is not False


def _parameter(codec: TaggedArguments, name: str, place: Place) -> Node:
    alternatives = place.alternatives()
    free = next((simple for simple in alternatives if simple.kind in ("string", "") and simple.values is None), None)
    if free is not None:  # any text at all: what another alternative would allow is such a text too
        alternatives = [
            free,
            *(simple for simple in alternatives if codec.type_attribute and simple.kind not in ("string", "")),
        ]
    made = []
    for simple in alternatives:
        values = simple.values
        kind = simple.kind or (json_type(values[0]) if values else "string")
        written = "number" if kind == "integer" else kind
        before, after = parameter(codec, name, _HOLE, written).split(_HOLE)
        made.append(Series((Literal(before), _plain(simple, kind, after))))
    return one_of(made)


def _plain(place: Place, kind: str, after: str) -> Node:
    """A value as plain text with what closes it: strings as they are, anything else as JSON."""
    values = place.values
    if values is not None:
        texts = [value if isinstance(value, str) else None for value in values]
        nodes: list[Node] = [Literal(text + after) for text in texts if text is not None]
        others = [value for value, text in zip(values, texts, strict=True) if text is None]
        return one_of([*nodes, *([Series((Json({"enum": others}), Literal(after)))] if others else [])])
    if kind == "string":
        return Until((after,), _patterns(place))
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
                case "string" | "" if not _CHARACTER & simple.schema.keys():
                    made.append(_PYTHON_STRING)
                case _:
                    made.append(Json(simple.standalone))
    return one_of(made)


def _patterns(place: Place) -> tuple[str, ...]:
    """What a schema says of a string, as regular expressions for all of it."""
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
        min(least, _LONGEST_REPEAT) if isinstance(least, int) else 0,
        most if isinstance(most, int) and most <= _LONGEST_REPEAT else None,
    )


def _maybe(node: Node, must: bool = False) -> Node:
    return node if must else Repeat(node, 0, 1)
