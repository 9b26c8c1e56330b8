"""The rules of a grammar in GBNF, the notation of llama.cpp's own grammars, with its strings and sets of characters."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

_ESCAPES: Final = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "]": "\\]",
    "[": "\\[",
    "^": "\\x5E",
    "-": "\\x2D",
}


class Rules:
    """The rules of one grammar, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._names: dict[Hashable, str] = {}

    def add(self, name: str, body: Callable[[], str]) -> None:
        """Add a rule of this name, which a rule in its body may refer to."""
        self._bodies[name] = ""
        self._bodies[name] = body()

    def once(self, key: Hashable, body: Callable[[], str]) -> str:
        """The name of the rule for a key; it is added once."""
        if key not in self._names:
            self._names[key] = f"n{len(self._names)}"
            self.add(self._names[key], body)
        return self._names[key]

    def text(self) -> str:
        """The grammar."""
        return "".join(f"{name} ::= {body}\n" for name, body in self._bodies.items())


def alternatives(bodies: Iterable[str]) -> str:
    """One of several bodies."""
    return " | ".join(bodies)


def quoted(text: str) -> str:
    """A string."""
    return '"' + "".join(map(_escaped, text)) + '"'


def characters(found: Sequence[str], *, negated: bool = False) -> str:
    """One of these characters, or with `negated` any other."""
    if not found:
        return "."
    return f"[{'^' if negated else ''}{''.join(map(_escaped, found))}]"


def _escaped(character: str) -> str:
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    return f"\\x{ord(character):02X}" if ord(character) < ord(" ") or character == "\x7f" else character
