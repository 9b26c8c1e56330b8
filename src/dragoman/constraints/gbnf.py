r"""Lowers a constraint to GBNF, the grammars of llama.cpp itself, for builds of it that have no llguidance.

    Literal    a string
    Text, Until     one rule for each state of an automaton that finds the strings
    Pattern    the expression itself, whose syntax is nearly the same
    Json       rules for the schema, see `gbnf_json`
    Series, Choice, Repeat, Ref     sequence, alternatives, repetition, a rule

It enforces less than llguidance: no patterns of a text, and of a schema neither patterns nor formats nor bounds of numbers.
Special tokens are their spelling, in free text, too: a string in GBNF matches both the token and its letters.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from dragoman.constraints.gbnf_json import JsonRules
from dragoman.constraints.gbnf_rules import Rules, alternatives, characters, quoted
from dragoman.constraints.lark import Uncompilable
from dragoman.constraints.pruned import pruned
from dragoman.constraints.tree import Choice, Constraint, Json, Literal, Node, Pattern, Ref, Repeat, Series, Text, Until
from dragoman.json_schema.references import Schema

_PIECE: Final = re.compile(
    r"(?P<group>[()|])|(?P<repeat>[*+?]|\{\d+(?:,\d*)?\})|(?P<set>\[\^?(?:\\.|[^\]\\])+\])|\\(?P<escaped>[^a-zA-Z0-9])"
    r"|(?P<plain>[^\\.^$\[\]{}()|*+?])"
)
"""What a pattern of a dialect may consist of."""


def gbnf(constraint: Constraint) -> str:
    """The text of the grammar. Raises `Uncompilable` for a pattern that GBNF has no words for."""
    return _Writer(constraint.rules).grammar(constraint.root)


class _Writer:
    """Writes one grammar. A node that occurs in several places becomes one rule."""

    def __init__(self, named: Mapping[str, Node]) -> None:
        self._rules = Rules()
        self._schemas = 0
        self._named = named

    def grammar(self, root: Node) -> str:
        self._rules.add("root", lambda: self._expression(root))
        return self._rules.text()

    def _expression(self, node: Node) -> str:
        match node:
            case Literal(text):
                return quoted(text)
            case Text(without, beginning):
                return self._automaton(without, beginning, ends=False)
            case Until(ends):
                return self._automaton(ends, "", ends=True)
            case Pattern(regex):
                return _translated(regex)
            case Json(schema):
                return self._rules.once(node, lambda: self._schema(schema))
            case Series(nodes):
                return self._rules.once(node, lambda: " ".join(map(self._expression, nodes)) or quoted(""))
            case Choice(nodes):
                return self._rules.once(node, lambda: alternatives(map(self._expression, nodes)))
            case Repeat(inner, least, most):
                return f"({self._expression(inner)}){{{least},{'' if most is None else most}}}"
            case Ref(name):
                return self._rules.once(("ref", name), lambda: self._expression(self._named[name]))
            case _:
                assert_never(node)

    def _schema(self, schema: Schema) -> str:
        held = pruned(schema)
        if held is False:
            raise Uncompilable("a schema allows no value")
        self._schemas += 1
        return JsonRules(self._rules, held if isinstance(held, Mapping) else {}, self._schemas).start()

    def _automaton(self, words: tuple[str, ...], beginning: str, *, ends: bool) -> str:
        """Text in which a word is the end (`ends`), or does not occur, and that does not begin with spaces and `beginning`."""
        automaton = _Words(words, beginning.strip())

        def rule(state: "_State") -> str:
            return self._rules.once((words, beginning, ends, state), lambda: body(state))

        def body(state: "_State") -> str:
            ways = [] if ends else [quoted("")]
            explicit = automaton.explicit(state)
            for target, found in explicit.items():
                letters = characters(sorted(found))
                if target is not None and not automaton.ended(target):
                    ways.append(f"{letters} {rule(target)}")
                elif target is not None and ends:
                    ways.append(letters)
            others = characters(sorted({one for found in explicit.values() for one in found}), negated=True)
            return alternatives([*ways, f"{others} {rule(_OTHERS)}"])

        return rule(automaton.start)


_State = tuple[str, int | None]
"""The longest end of what was read that begins a word, and how much was read of the barred beginning, None if it cannot be."""

_OTHERS: Final = ("", None)
"""The state after most characters."""
_SPACES: Final = " \t\n\r"


class _Words:
    """The automaton that finds words in a text, and a beginning that it must not have."""

    def __init__(self, words: Iterable[str], barred: str) -> None:
        self._words = [word for word in words if word]
        self._barred = barred
        self._beginnings = {word[:length] for word in self._words for length in range(len(word) + 1)} | {""}
        self.start: _State = ("", 0 if barred else None)

    def ended(self, state: _State) -> bool:
        """Whether a word has just been read."""
        return any(state[0].endswith(word) for word in self._words)

    def explicit(self, state: _State) -> dict[_State | None, set[str]]:
        """The characters after which the state is another one than after most; None stands for a text that is barred."""
        read, begun = state
        letters = {word[len(end)] for end in self._ends(read) for word in self._words if word.startswith(end) and word != end}
        if begun is not None:
            letters |= {self._barred[begun], *(_SPACES if begun == 0 else "")}
        found: dict[_State | None, set[str]] = {}
        for letter in letters:
            found.setdefault(self._after(state, letter), set()).add(letter)
        return found

    def _ends(self, read: str) -> list[str]:
        """The ends of what was read that begin a word, the longest first."""
        return [read[at:] for at in range(len(read) + 1) if read[at:] in self._beginnings]

    def _after(self, state: _State, letter: str) -> _State | None:
        read, begun = state
        longest = self._ends(read + letter)[0]
        if begun is None or (begun == 0 and letter in _SPACES):
            return (longest, begun)
        if letter != self._barred[begun]:
            return (longest, None)
        return (longest, begun + 1) if begun + 1 < len(self._barred) else None


def _translated(regex: str) -> str:
    written: list[str] = []
    at = 0
    while at < len(regex):
        piece = _PIECE.match(regex, at)
        if piece is None:
            raise Uncompilable(f"llama.cpp's own grammars have no form for the pattern {regex}")
        at = piece.end()
        plain = piece["plain"] or piece["escaped"]
        if plain:
            written.append(quoted(plain))
        else:
            written.append(("" if piece["repeat"] and written else " ") + piece[0])
            if piece["repeat"]:
                written[-2:] = [written[-2] + piece[0]]
    return f"({' '.join(written)})"
