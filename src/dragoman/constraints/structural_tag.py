r"""Lowers a constraint to a structural tag, the tree that xgrammar compiles inside vLLM and SGLang.

    Literal    const_string, and token where it spells a special token
    Text       any_text that excludes
    Until      tag: nothing, any_text, one of the ends
    Pattern    regex
    Json       json_schema
    Series, Choice, Repeat     sequence, or, repeat
    Ref        the rule itself, up to the depth limit of the tree; deeper alternatives are removed

It enforces less than llguidance: of several patterns for a text only one, and none that could match the text's end; and it
allows a space where JSON does. xgrammar has no special tokens: they are their spelling, in free text, too.

The engine compiles the tag, and refuses what does not compile; so there is a tag for every step of relaxation, see `lark`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, assert_never

from dragoman.constraints.lark import Uncompilable, relaxed
from dragoman.constraints.pruned import pruned
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Ref, Repeat, Series, Text, Until
from dragoman.special_tokens import Segments

Format = dict[str, Any]

_DEPTHS: Final = (6, 4, 2, 1)
"""How often a rule may be nested in itself: the first that gives a tree of at most `_LARGEST` nodes is used."""
_LARGEST: Final = 200_000
"""The most nodes of a tree."""
_ANY: Final = "(?s:"
"""Occurs in patterns whose end no automaton can find: they may match the end of the text, too."""
_NOTHING: Final[Format] = {"type": "const_string", "value": ""}


class TooLarge(Uncompilable):
    """Raised where a tree is too large even with the least depth of recursion."""


def structural_tag(constraint: Constraint, segments: Mapping[str, Segments], step: int = 0) -> Format:
    """The tag, its schemas relaxed to `step`. `segments` has every literal that spells special tokens. Raises `TooLarge`."""
    for depth in _DEPTHS:
        try:
            root = _Writer(constraint.rules, segments, step, depth).format(constraint.root)
        except TooLarge:
            continue
        if root is not None:
            return {"type": "structural_tag", "format": root}
    raise TooLarge("it is too large")


class _Writer:
    """Writes one tag. A node that cannot be written within the depth limit is None."""

    def __init__(self, rules: Mapping[str, Node], segments: Mapping[str, Segments], step: int, depth: int) -> None:
        self._rules = rules
        self._segments = segments
        self._step = step
        self._depth = depth
        self._above: list[str] = []
        self._size = 0

    def format(self, node: Node) -> Format | None:
        self._size += 1
        if self._size > _LARGEST:
            raise TooLarge
        match node:
            case Literal(text):
                return _sequence([_segment(segment) for segment in self._segments.get(text, (text,) if text else ())])
            case Text(without, beginning):
                return _text(without, beginning)
            case Until(ends, patterns):
                return self._until(ends, patterns)
            case Pattern(regex):
                return {"type": "regex", "pattern": regex}
            case Json(schema):
                held = pruned(relaxed(schema, self._step))
                return None if held is False else {"type": "json_schema", "json_schema": held, "max_whitespace_cnt": 1}
            case Series(nodes):
                return self._series(nodes)
            case Choice(nodes):
                return _one_of([made for inner in nodes if (made := self.format(inner)) is not None])
            case Repeat(inner, least, most):
                return self._repeat(inner, least, most)
            case Ref(name):
                return self._rule(name)
            case _:
                assert_never(node)

    def _series(self, nodes: Sequence[Node]) -> Format | None:
        made = [self.format(inner) for inner in nodes]
        return None if None in made else _sequence([inner for inner in made if inner is not None])

    def _repeat(self, node: Node, least: int, most: int | None) -> Format | None:
        inner = self.format(node)
        if inner is None:
            return None if least else _NOTHING
        if (least, most) == (0, 1):
            return {"type": "optional", "content": inner}
        return {"type": "repeat", "min": least, "max": -1 if most is None else most, "content": inner}

    def _rule(self, name: str) -> Format | None:
        if self._above.count(name) >= self._depth:
            return None
        self._above.append(name)
        made = self.format(self._rules[name])
        self._above.pop()
        return made

    def _until(self, ends: tuple[str, ...], patterns: tuple[str, ...]) -> Format:
        held = next((pattern for pattern in patterns if _ANY not in pattern), None)
        if held is None or self._step:
            return {"type": "tag", "begin": "", "content": {"type": "any_text"}, "end": list(ends)}
        closing = [{"type": "const_string", "value": end} for end in ends]
        return {"type": "sequence", "elements": [{"type": "regex", "pattern": held}, _one_of(closing)]}


def _segment(segment: str | int) -> Format:
    return {"type": "token", "token": segment} if isinstance(segment, int) else {"type": "const_string", "value": segment}


def _sequence(elements: list[Format]) -> Format:
    elements = [element for element in elements if element != _NOTHING]
    return elements[0] if len(elements) == 1 else {"type": "sequence", "elements": elements} if elements else _NOTHING


def _one_of(elements: list[Format]) -> Format | None:
    return {"type": "or", "elements": elements} if len(elements) > 1 else elements[0] if elements else None


def _text(without: tuple[str, ...], beginning: str) -> Format:
    """Text that does not begin with `beginning`: it is a proper prefix of it, or differs from it at some character."""
    free: Format = {"type": "any_text", "excludes": list(without)} if without else {"type": "any_text"}
    barred = beginning.strip()
    if not barred:
        return free
    leaving = {"type": "sequence", "elements": [{"type": "regex", "pattern": "|".join(_leaving(barred))}, free]}
    short = {
        "type": "regex",
        "pattern": r"\s*" + "".join(f"(?:{re.escape(one)}" for one in barred[:-1]) + ")?" * (len(barred) - 1),
    }
    return {"type": "or", "elements": [short, leaving]}


def _leaving(barred: str) -> Iterator[str]:
    for length, one in enumerate(barred):
        blank = "" if length else r"\s"
        yield rf"\s*{_escaped(barred[:length])}[^{blank}{_escaped(one)}]"


def _escaped(text: str) -> str:
    return re.escape(text).replace("\\ ", " ")  # xgrammar warns about an escaped space
