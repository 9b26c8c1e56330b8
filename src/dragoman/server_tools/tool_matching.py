"""Finds tools by a regular expression or by words, in their names, descriptions and arguments (TOOL-12).

Both take time that is linear in the length of the declarations: RE2 matches without backtracking, whatever the pattern is.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import re2

from dragoman.conversation import Tool

MOST_FOUND: Final = 5
"""Tools that one search finds, the best first."""
MOST_PATTERN: Final = 200
"""Characters of a regular expression."""
MOST_QUERY: Final = 500
"""Characters of a query in words."""

_MEMORY: Final = 1 << 20
"""Bytes that a compiled pattern may take."""
_DEPTH: Final = 20
"""Levels of a schema whose arguments are searched."""
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75
"""The usual parameters k1 and b of BM25."""
_NAME_WEIGHT: Final = 3
"""How many times a word in the name of a tool counts."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
"""A word; names in camel case and snake case have several."""


class InvalidPattern(ValueError):
    """A text is not a regular expression that is accepted; the message says why."""


def by_pattern(pattern: str, tools: Sequence[Tool]) -> list[str]:
    """The names of the tools that match, without regard to case. Those whose name matches come first, then by description.

    Raises `InvalidPattern`.
    """
    if len(pattern) > MOST_PATTERN:
        raise InvalidPattern(f"the pattern has more than {MOST_PATTERN} characters")
    compiled = _compiled(pattern)
    ranked: tuple[list[str], ...] = ([], [], [])
    for tool in tools:
        places = (tool.name, tool.description, "\n".join(_arguments(tool.schema)))
        for rank, text in zip(ranked, places, strict=True):
            if compiled.search(text):
                rank.append(tool.name)
                break
    return [name for rank in ranked for name in rank][:MOST_FOUND]


def by_words(query: str, tools: Sequence[Tool]) -> list[str]:
    """The names of the tools that fit the words of a query best, by BM25."""
    wanted = set(_words(query))
    documents = [_counted(tool) for tool in tools]
    lengths = [document.total() for document in documents]
    average = sum(lengths) / len(lengths) if any(lengths) else 1.0
    holders = Counter(word for document in documents for word in wanted & document.keys())
    scores: dict[str, float] = {}
    for tool, document, length in zip(tools, documents, lengths, strict=True):
        weight = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length / average)
        score = sum(
            _rarity(len(tools), holders[word]) * document[word] * (_SATURATION + 1) / (document[word] + weight)
            for word in wanted & document.keys()
        )
        if score > 0:
            scores[tool.name] = score
    return sorted(scores, key=lambda name: -scores[name])[:MOST_FOUND]


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        raise InvalidPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)) from None


def _rarity(tools: int, holders: int) -> float:
    return math.log(1 + (tools - holders + 0.5) / (holders + 0.5))


def _counted(tool: Tool) -> Counter[str]:
    """How often each word occurs in a declaration."""
    counts = Counter(_words(f"{tool.description}\n" + "\n".join(_arguments(tool.schema))))
    for word in _words(tool.name):
        counts[word] += _NAME_WEIGHT
    return counts


def _words(text: str) -> Iterator[str]:
    """The words of a text in lower case, without the s of a plural."""
    for match in _WORD.finditer(text):
        word = match.group().lower()
        yield word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _arguments(schema: Any, depth: int = _DEPTH) -> Iterator[str]:
    """The names and descriptions of the arguments of a tool, also of those inside others."""
    if depth == 0 or not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        properties = {}
    for name, inner in properties.items():
        yield name
        if isinstance(inner, dict) and isinstance(inner.get("description"), str):
            yield inner["description"]
        yield from _arguments(inner, depth - 1)
    yield from _arguments(schema.get("items"), depth - 1)
