"""What an output must look like, as a small tree: dialects build it, engines lower it to whatever they have. A leaf.

    Literal    exactly this text
    Text       any text, but for certain strings in it
    Until      any text up to the first of certain strings, which ends it and belongs to it
    Pattern    text that a regular expression matches
    Json       a JSON value by a schema
    Series, Choice, Repeat, Ref     of such nodes; a Ref names a rule, which may refer to itself

A spelling of a special token stands for that token in `Literal` and at the end of `Until`; free text holds no special tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Any text, perhaps none, that holds none of `without` and does not begin with `beginning` behind blanks."""

    without: tuple[str, ...] = ()
    beginning: str = ""


@dataclass(frozen=True, slots=True)
class Until:
    """Any text up to and with the first of `ends`. What comes before it matches all of `patterns`, from end to end."""

    ends: tuple[str, ...]
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that the regular expression matches from end to end (the syntax that Rust's and Python's share)."""

    regex: str


@dataclass(frozen=True, slots=True, eq=False)
class Json:
    """A JSON value that the schema allows, without blanks but for one behind each comma and colon."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One after the other."""

    nodes: "Sequence[Node]"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One of these."""

    nodes: "Sequence[Node]"


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`least` to `most` of these in a row; None: any number."""

    node: "Node"
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """The rule of this name."""

    name: str


Node = Literal | Text | Until | Pattern | Json | Series | Choice | Repeat | Ref


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """A tree and the rules that its `Ref`s name. `key` is the same for the same constraint: what it compiles to can be kept.

    `path` is the place in the request that asks for it.
    """

    root: Node
    key: str
    rules: Mapping[str, Node] = field(default_factory=dict)
    path: str = "tools"


def one_of(nodes: Sequence[Node]) -> Node:
    """A choice, where there is one."""
    return nodes[0] if len(nodes) == 1 else Choice(tuple(nodes))
