"""Writes a constraint as indented text for people."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Ref, Repeat, Series, Text, Until

_MOST_LINES: Final = 2_000
_DEEPEST: Final = 40


def written(constraint: Constraint) -> str:
    """The tree and its rules, a node a line; of a very large one the beginning."""
    lines: list[str] = []
    for line in _constraint(constraint):
        if len(lines) == _MOST_LINES:
            lines.append("…")
            break
        lines.append(line)
    return "\n".join(lines)


def _constraint(constraint: Constraint) -> Iterator[str]:
    yield from _node(constraint.root, 0)
    for name, node in constraint.rules.items():
        yield f"{name}:"
        yield from _node(node, 1)


def _node(node: Node, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if depth > _DEEPEST:
        yield f"{indent}…"
        return
    match node:
        case Literal(text):
            yield indent + _quoted(text)
        case Text(without):
            yield f"{indent}any text{_list(' without ', without)}"
        case Until(ends, patterns):
            yield f"{indent}any text up to {_list('', ends)}{_list(', which matches ', patterns)}"
        case Pattern(regex):
            yield f"{indent}/{regex}/"
        case Json(schema):
            yield f"{indent}JSON of the schema {json.dumps(schema, ensure_ascii=False)}"
        case Ref(name):
            yield f"{indent}{name}"
        case Series(nodes):
            yield f"{indent}in this order:"
            yield from _nodes(nodes, depth + 1)
        case Choice(nodes):
            yield f"{indent}one of:"
            yield from _nodes(nodes, depth + 1)
        case Repeat(inner, least, most):
            yield f"{indent}{least} times or more:" if most is None else f"{indent}{least} to {most} times:"
            yield from _node(inner, depth + 1)


def _nodes(nodes: Sequence[Node], depth: int) -> Iterator[str]:
    for node in nodes:
        yield from _node(node, depth)


def _list(intro: str, texts: Sequence[str]) -> str:
    return intro + ", ".join(map(_quoted, texts)) if texts else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
