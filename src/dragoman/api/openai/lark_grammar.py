"""Converts a Lark grammar to a regular expression, if it describes a regular language: no rule may contain itself.

A pattern can be enforced in every notation of calls and on every engine, where a nested grammar cannot: inside a JSON string
each character has another form. Whitespace is never ignored, and every terminal matches as the expression that it is.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

_LONGEST: Final = 20_000
_DEEPEST: Final = 50
_COMMON: Final = {
    "LF": r"\n",
    "CR": r"\r",
    "NEWLINE": r"(?:\r?\n)+",
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[0-9a-fA-F]",
    "INT": "[0-9]+",
    "SIGNED_INT": "[+-]?[0-9]+",
    "NUMBER": r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "SIGNED_NUMBER": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[A-Za-z]",
    "WORD": "[A-Za-z]+",
    "CNAME": "[_A-Za-z][_A-Za-z0-9]*",
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "ESCAPED_STRING": r'"(?:[^"\\\n]|\\.)*"',
}
"""The terminals of Lark's own library."""
_DEFINITION: Final = re.compile(r"[!?]*(?P<name>[_A-Za-z]\w*)(?:\.-?\d+)?\s*:(?P<body>.*)", re.DOTALL)
_IMPORT: Final = re.compile(
    r"%import\s+common\.(?P<name>\w+)(?:\s*->\s*(?P<alias>\w+))?|%import\s+common\s*\((?P<names>[\w\s,]+)\)"
)
_TOKEN: Final = re.compile(
    r"""\s+|(?P<string>"(?:\\.|[^"\\\n])*"i?)|(?P<regex>/(?!/)(?:\\.|[^/\\\n])+/[a-z]*)|(?P<name>[_A-Za-z]\w*)"""
    r"""|(?P<number>\d+)|(?P<mark>->|\.\.|[|()\[\]?*+~])"""
)
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "b": "\b", "0": "\0"}
_BEFORE: Final = re.compile(r"""(?P<kept>"(?:\\.|[^"\\\n])*"?|/(?!/)(?:\\.|[^/\\\n])+/?)|//[^\n]*""")
"""A string, an expression or a comment; one that does not end is taken to the end of its line, in one step."""


class UnsupportedGrammar(ValueError):
    """The grammar is not one that can be converted; the message says why."""


@lru_cache(maxsize=64)
def lark_pattern(definition: str) -> str:
    """The regular expression for what the rule `start` of a grammar matches. Raises `UnsupportedGrammar`."""
    if len(definition) > _LONGEST:
        raise UnsupportedGrammar("it is too long")
    return _Grammar(definition).pattern("start")


class _Grammar:
    """The definitions of a grammar. A pattern is made when it is needed, once."""

    def __init__(self, definition: str) -> None:
        self._bodies: dict[str, str] = {}
        self._patterns: dict[str, str] = {}
        self._open: list[str] = []
        for statement in _statements(definition):
            if statement.startswith("%"):
                self._import(statement)
                continue
            found = _DEFINITION.fullmatch(statement)
            if found is None:
                raise UnsupportedGrammar(f"it cannot be read at {statement[:40]!r}")
            self._bodies[found["name"]] = found["body"]

    def pattern(self, name: str) -> str:
        if name in self._open:
            raise UnsupportedGrammar(f"the rule {name} contains itself")
        if name not in self._patterns:
            if name not in self._bodies:
                raise UnsupportedGrammar(f"it does not define {name}")
            self._open.append(name)
            self._patterns[name] = _Body(self, self._bodies[name]).pattern()
            self._open.pop()
        return self._patterns[name]

    def _import(self, statement: str) -> None:
        found = _IMPORT.fullmatch(statement)
        if found is None:
            raise UnsupportedGrammar(f"it has {statement.split(maxsplit=1)[0]}, which cannot be enforced")
        names = [found["name"]] if found["name"] else [name.strip() for name in found["names"].split(",")]
        for name in names:
            if name not in _COMMON:
                raise UnsupportedGrammar(f"it imports {name}, which is not known")
            self._patterns[found["alias"] or name] = _COMMON[name]


class _Body:
    """Reads the right side of a definition."""

    def __init__(self, grammar: _Grammar, body: str) -> None:
        self._grammar = grammar
        self._tokens = [*_tokens(body)]
        self._place = 0
        self._depth = 0

    def pattern(self) -> str:
        made = self._alternatives()
        if self._place < len(self._tokens):
            raise UnsupportedGrammar(f"it cannot be read at {self._tokens[self._place][1]!r}")
        return made

    def _alternatives(self) -> str:
        ways = [self._sequence()]
        while self._take("|"):
            ways.append(self._sequence())
        return _bounded(ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})")

    def _sequence(self) -> str:
        items = []
        while self._place < len(self._tokens) and self._tokens[self._place][1] not in ("|", ")", "]"):
            if self._take("->"):  # the name of an alternative has no meaning here
                self._next("name")
                break
            items.append(self._item())
        return "".join(items)

    def _item(self) -> str:
        atom = self._atom()
        while self._place < len(self._tokens):
            if self._take("~"):
                least = self._next("number")
                most = self._next("number") if self._take("..") else least
                atom = f"(?:{atom}){{{least},{most}}}"
            elif (mark := self._tokens[self._place][1]) in ("?", "*", "+"):
                self._place += 1
                atom = f"(?:{atom}){mark}"
            else:
                break
        return _bounded(atom)

    def _atom(self) -> str:
        for opened, closed, form in (("(", ")", "(?:{})"), ("[", "]", "(?:{})?")):
            if self._take(opened):
                return form.format(self._group(closed))
        kind, text = self._tokens[self._place]
        self._place += 1
        match kind:
            case "string":
                return self._string(text)
            case "regex":
                return _regex(text)
            case "name":
                return f"(?:{self._grammar.pattern(text)})"
            case _:
                raise UnsupportedGrammar(f"it cannot be read at {text!r}")

    def _group(self, closed: str) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnsupportedGrammar("it is nested too deeply")
        inner = self._alternatives()
        self._depth -= 1
        if not self._take(closed):
            raise UnsupportedGrammar(f"a {closed!r} is missing")
        return inner

    def _string(self, written: str) -> str:
        text = _unquoted(written)
        if self._take(".."):
            last = _unquoted(self._next("string"))
            if len(text) != 1 or len(last) != 1:
                raise UnsupportedGrammar("a range needs two characters")
            return f"[{_in_class(text)}-{_in_class(last)}]"
        return f"(?i:{_escaped(text)})" if written.endswith("i") else _escaped(text)

    def _take(self, mark: str) -> bool:
        found = self._place < len(self._tokens) and self._tokens[self._place] == ("mark", mark)
        self._place += found
        return found

    def _next(self, kind: str) -> str:
        if self._place >= len(self._tokens) or self._tokens[self._place][0] != kind:
            raise UnsupportedGrammar(f"a {kind} is missing")
        self._place += 1
        return self._tokens[self._place - 1][1]


def _statements(definition: str) -> Sequence[str]:
    """The definitions and directives, without comments; a line that begins with `|` continues the one before it."""
    plain = _BEFORE.sub(lambda found: found["kept"] or "", definition)
    statements: list[list[str]] = []
    for line in filter(None, map(str.strip, plain.split("\n"))):
        if line.startswith("|") and statements:
            statements[-1].append(line)
        else:
            statements.append([line])
    return [" ".join(lines) for lines in statements]


def _tokens(body: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(body):
        found = _TOKEN.match(body, place)
        if found is None:
            raise UnsupportedGrammar(f"it cannot be read at {body[place : place + 40]!r}")
        if found.lastgroup:
            yield found.lastgroup, found.group()
        place = found.end()


def _unquoted(written: str) -> str:
    return _ESCAPE.sub(lambda found: _character(found[1]), written.removesuffix("i")[1:-1])


def _character(escaped: str) -> str:
    """The character of an escape; one without a meaning of its own stands for itself."""
    return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _ESCAPES.get(escaped, escaped)


def _regex(written: str) -> str:
    body, _, flags = written[1:].rpartition("/")
    if set(flags) - set("isu"):
        raise UnsupportedGrammar(f"the flags {flags} cannot be enforced")
    kept = "".join(flag for flag in "is" if flag in flags)
    plain = body.replace(r"\/", "/")
    return f"(?{kept}:{plain})" if kept else f"(?:{plain})"


def _escaped(text: str) -> str:
    return re.sub(r"[\\^$.|?*+()\[\]{}]", r"\\\g<0>", text).replace("\n", r"\n")


def _in_class(character: str) -> str:
    return f"\\{character}" if character in r"\]^-" else character


def _bounded(pattern: str) -> str:
    """The pattern. Raises `UnsupportedGrammar` if it is too long: definitions that use others twice multiply."""
    if len(pattern) > _LONGEST:
        raise UnsupportedGrammar("it is too large")
    return pattern
