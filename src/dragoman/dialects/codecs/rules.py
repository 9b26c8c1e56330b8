"""What the constraints of several codecs share: rules for recursive schemas, lists of optional items, restricted strings.

In notations without escapes, a string is any text without its closer: a model without a constraint could not write a closer
inside a string either.
"""

import re
from collections.abc import Callable, Sequence

from dragoman.constraints.tree import Choice, Json, Literal, Node, Ref, Repeat, Series, Until, one_of
from dragoman.json_schema.place import Place
from dragoman.json_schema.references import Schema, dereferenced

NOTHING = Series(())
_ANY = "(?s:.*)"
_MAX_DEPTH = 24
_ITEMS_IN_A_RULE = 8
_MAX_REPEAT = 256
"""The largest number of elements that is enforced while decoding."""


class Rules:
    """Collects the rules to which the constraints of one request refer, in `named`."""

    def __init__(self) -> None:
        self.named: dict[str, Node] = {}
        self._names: dict[tuple[int, str, str], str] = {}
        self._depth = 0

    def recursive(self, place: Place, build: Callable[[Place], Node], context: str = "") -> Node:
        """A value that may contain others: references become rules, each built once, so that they may be recursive.

        `build` makes the node of a place without unions and references; `context` is anything else that the node depends on.
        """
        reference = place.schema.get("$ref")
        if isinstance(reference, str):
            key = (id(place.root), reference, context)
            if key not in self._names:
                name = self._names[key] = f"ref{len(self._names)}"
                self.named[name] = self.recursive(Place(dereferenced(place.schema, place.root), place.root), build, context)
            return Ref(self._names[key])
        self._depth += 1
        if self._depth > _MAX_DEPTH:  # a schema that expands without end in other ways
            place = Place({}, place.root)
        branches = place.branches()
        nodes = (
            [self.recursive(branch, build, context) for branch in branches]
            if branches
            else [build(simple) for simple in place.alternatives()]
        )
        self._depth -= 1
        return one_of(nodes)

    def listed(self, items: Sequence[tuple[Node, bool]], separator: str) -> Node:
        """All required and any optional items in their order, each with whether it is required, and separators between.

        The rest of the list is a rule of its own after every few items, so that the tree is not as deep as the list is long.
        """
        rest: Node = NOTHING
        first: Node = NOTHING
        for number, (node, required) in enumerate(reversed(items), 1):
            follows, begins = Series((Literal(separator), node, rest)), Series((node, rest))
            rest, first = (follows, begins) if required else (Choice((follows, rest)), Choice((begins, first)))
            if number % _ITEMS_IN_A_RULE == 0:
                rest, first = self._rule(rest), self._rule(first)
        return first

    def _rule(self, node: Node) -> Ref:
        name = f"rest{len(self.named)}"
        self.named[name] = node
        return Ref(name)


def object_place(schema: Schema) -> Place:
    """The arguments as one object; of a union of objects, the first one."""
    place = Place(schema, schema)
    return next((simple for simple in place.alternatives() if simple.kind in ("object", "")), Place({}, schema))


def optional(node: Node, required: bool = False) -> Node:
    """The node, or the node or nothing if it is not required."""
    return node if required else Repeat(node, 0, 1)


def repeats(place: Place) -> tuple[int, int | None]:
    """The least and the largest number of elements of an array that are enforced."""
    least, most = place.schema.get("minItems"), place.schema.get("maxItems")
    return (
        min(least, _MAX_REPEAT) if isinstance(least, int) else 0,
        most if isinstance(most, int) and most <= _MAX_REPEAT else None,
    )


def plain(place: Place, kind: str, after: str) -> Node:
    """A value as plain text with its closer: strings as they are, anything else as JSON."""
    values = place.values
    if values is not None:
        texts = [value if isinstance(value, str) else None for value in values]
        nodes: list[Node] = [Literal(text + after) for text in texts if text is not None]
        others = [value for value, text in zip(values, texts, strict=True) if text is None]
        return one_of([*nodes, *([Series((Json({"enum": others}), Literal(after)))] if others else [])])
    if kind == "string":
        return Until((after,), string_patterns(place))
    return Series((Json(place.standalone), Literal(after)))


def string_patterns(place: Place) -> tuple[str, ...]:
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
