"""A constraint on an output, as a small tree: dialects build it, engines lower it to their own grammars. A leaf module.

    Literal    exactly this text
    Text       any text without certain strings
    Until      any text up to and including the first of certain strings
    Pattern    text that a regular expression matches
    Json       a JSON value that a schema allows
    Series, Choice, Repeat, Ref     combinations of nodes; a Ref names a rule, which may refer to itself

The spelling of a special token means that token in `Literal` and at the end of `Until`; free text has no special tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Any text, perhaps empty, that contains none of `without` and does not begin with spaces and `beginning`."""

    without: tuple[str, ...] = ()
    beginning: str = ""


@dataclass(frozen=True, slots=True)
class Until:
    """Any text up to and including the first of `ends`. The text before it matches all of `patterns`, from end to end."""

    ends: tuple[str, ...]
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that the regular expression matches from end to end (the syntax that Rust's and Python's share)."""

    regex: str


@dataclass(frozen=True, slots=True, eq=False)
class Json:
    """A JSON value that the schema allows, with a space after each comma and colon and nowhere else."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Nodes one after the other."""

    nodes: "Sequence[Node]"


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One of several nodes."""

    nodes: "Sequence[Node]"


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`least` to `most` repetitions of a node; with None there is no maximum."""

    node: "Node"
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to the rule of this name."""

    name: str


Node = Literal | Text | Until | Pattern | Json | Series | Choice | Repeat | Ref


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """A tree and the rules that its `Ref`s name. Equal constraints have the same `key`, by which compiled forms are cached.

    `path` is the field of the request that asks for it. `opening`: where it begins to restrict anything, if that is known.
    """

    root: Node
    key: str
    rules: Mapping[str, Node] = field(default_factory=dict)
    path: str = "tools"
    opening: "Opening | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """The text that begins a call, in a constraint that allows any other text before it.

    `after` is the constraint on what follows it. None of `barred` may come before it: `instead` is the constraint on what
    comes in the place of one. Inside of reasoning all of these are free text: it begins with any of `thinking_opens`, or with
    the answer (`thinking_open`), and ends with any of `thinking_closes`.
    """

    text: str
    barred: Sequence[str]
    after: Constraint
    instead: Constraint
    thinking_opens: Sequence[str] = ()
    thinking_closes: Sequence[str] = ()
    thinking_open: bool = False


def one_of(nodes: Sequence[Node]) -> Node:
    """A choice among the nodes; a single node is returned as it is."""
    return nodes[0] if len(nodes) == 1 else Choice(tuple(nodes))


def nodes(constraint: Constraint) -> Iterator[Node]:
    """Every node of the tree and the rules, once."""
    seen: set[int] = set()
    pending: list[Node] = [constraint.root, *constraint.rules.values()]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        match node:
            case Series(inner) | Choice(inner):
                pending.extend(inner)
            case Repeat(repeated):
                pending.append(repeated)
