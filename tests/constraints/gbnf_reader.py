"""Reads GBNF as llama.cpp does, and tells whether a grammar allows a text. Texts are short: every way through is tried."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache

Ends = Callable[[int], frozenset[int]]
"""The places where a part of a grammar can end, by where it begins."""

_TOKEN = re.compile(
    r'\s*(?:(?P<name>[a-z0-9-]+)(?!\s*::=)|(?P<string>"(?:\\.|[^"\\])*")|(?P<set>\[(?:\\.|[^\]\\])*\])|(?P<any>\.)'
    r"|(?P<other>[()|*+?]|\{\d+,?\d*\}))"
)
_ESCAPED = re.compile(r"\\(?:x([0-9A-F]{2})|(.))", re.DOTALL)
_DEEPEST = 20_000
_LINE = re.compile(r"^([a-z0-9-]+) ::= (.*)$", re.MULTILINE)


def allows(grammar: str, text: str) -> bool:
    """Whether the text is one that the grammar describes."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(_DEEPEST)  # a rule for each character of free text
    try:
        return len(text) in _Reader(dict(_LINE.findall(grammar)), text).rule("root")(0)
    finally:
        sys.setrecursionlimit(before)


class _Reader:
    def __init__(self, bodies: dict[str, str], text: str) -> None:
        self._bodies = bodies
        self._text = text
        self._rules: dict[str, Ends] = {}

    def rule(self, name: str) -> Ends:
        if name not in self._rules:
            parsed: list[Ends] = []

            @cache
            def ends(at: int) -> frozenset[int]:
                if not parsed:
                    parsed.append(self._alternatives(_tokens(self._bodies[name])))
                return parsed[0](at)

            self._rules[name] = ends
        return self._rules[name]

    def _alternatives(self, tokens: Iterator[tuple[str, str]]) -> Ends:
        ways: list[list[Ends]] = [[]]
        for kind, token in tokens:
            if token == ")":
                break
            if token == "|":
                ways.append([])
            elif kind == "other" and token != "(":
                ways[-1].append(self._repeated(ways[-1].pop(), *_times(token)))
            else:
                ways[-1].append(self._alternatives(tokens) if token == "(" else self._single(kind, token))
        return lambda at: frozenset().union(*(_in_order(way, at) for way in ways))

    def _single(self, kind: str, token: str) -> Ends:
        if kind == "name":
            return self.rule(token)
        if kind == "string":
            string = _ESCAPED.sub(_character, token[1:-1])
            return lambda at: frozenset({at + len(string)} if self._text.startswith(string, at) else ())
        found = re.compile(r"(?s:.)" if kind == "any" else token)
        return lambda at: frozenset({at + 1} if found.match(self._text, at) else ())

    def _repeated(self, inner: Ends, least: int, most: int) -> Ends:
        def ends(at: int) -> frozenset[int]:
            reached, found = frozenset({at}), set({at} if least == 0 else ())
            for count in range(1, min(most, len(self._text) + least + 1) + 1):
                reached = frozenset().union(*map(inner, reached))
                found |= reached if count >= least else set()
            return frozenset(found)

        return ends


def _in_order(parts: list[Ends], at: int) -> frozenset[int]:
    places = frozenset({at})
    for part in parts:
        places = frozenset().union(*map(part, places))
    return places


def _tokens(body: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        assert found is not None, f"not GBNF: {body[at:]}"
        at = found.end()
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]


def _times(token: str) -> tuple[int, int]:
    most = 1 << 30
    if token in "*+?":
        return {"*": (0, most), "+": (1, most), "?": (0, 1)}[token]
    least, _, bound = token[1:-1].partition(",")
    return int(least), int(bound) if bound else most if "," in token else int(least)


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else {"n": "\n", "r": "\r", "t": "\t"}.get(escape[2], escape[2])
