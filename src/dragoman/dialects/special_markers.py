"""Markers that are special tokens: with an engine that reports token ids, the token is the marker, and not its spelling.

The parser reads text. So the text of such a token gets a mark before it (`marks`), and the parser looks for the markers with
their mark. Ordinary tokens that spell a marker are text: the second reading, which looks for calls in any notation, finds it
broken by another mark. Both are removed from the parts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from dragoman.dialects.marks import BREAK, MARK, marked
from dragoman.dialects.spec import Frame, Syntax
from dragoman.parts import CallDelta, Part, Text, Thinking

_ESCAPED: Final = (r"\udcfe", r"\udcff")
_PATTERNS: Final = frozenset({"recipient", "thinking", "known", "unended"})
"""The fields of a `Frame` that are regular expressions: in them, every `<|` may have a mark before it."""

S = TypeVar("S", bound=Syntax)


class SpecialMarkers:
    """The markers of one model that are special tokens: their spellings by token id. `syntax` is that of its dialect."""

    def __init__(self, syntax: Syntax, tokens: Mapping[int, str]) -> None:
        self.tokens = tokens
        self.spellings = frozenset(tokens.values())
        longest_first = sorted(self.spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self.syntax: Syntax = self._of(syntax)

    def mark_all(self, text: str) -> str:
        """Mark every spelling."""
        return self._pattern.sub(lambda found: marked(found.group()), text)

    def _of(self, value: Any) -> Any:
        """A part of a syntax with marked markers."""
        if isinstance(value, str):
            return self.mark_all(value)
        if isinstance(value, Frame):
            patterns = {name: _with_marks(getattr(value, name)) for name in _PATTERNS}
            return replace(value, **{**self._fields(value, without=_PATTERNS), **patterns})
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **self._fields(value))
        if isinstance(value, Mapping):
            return {self._of(key): self._of(item) for key, item in value.items()}
        return type(value)(map(self._of, value)) if isinstance(value, tuple | list | frozenset) else value

    def _fields(self, value: Any, without: Iterable[str] = ()) -> dict[str, Any]:
        return {field.name: self._of(getattr(value, field.name)) for field in fields(value) if field.name not in without}


def _with_marks(pattern: str) -> str:
    return pattern.replace(r"<\|", rf"{MARK}?<\|").replace("[^", f"[^{MARK}")


class TokenMarking:
    """Marks the text of one generation by its token ids."""

    def __init__(self, markers: SpecialMarkers) -> None:
        self._markers = markers
        self._due: list[str] = []  # special tokens of the last chunk whose text was not in it

    def mark(self, text: str, ids: Sequence[int] | None) -> str:
        """The text of a chunk with a mark before each special token. An engine may send the text with the next chunk.

        `ids` is None for text that the model did not write: every spelling is marked.
        """
        if ids is None:
            return self._markers.mark_all(text)
        tokens = self._markers.tokens
        found = [tokens[token] for token in ids if token in tokens]
        if not found and not self._due:
            return text
        pieces, position = [], 0
        waiting, self._due = [*self._due, *found], []
        for spelling in waiting:
            start = text.find(spelling, position)
            if start < 0:
                self._due += [spelling] if spelling in found else []
            else:
                pieces += [text[position:start], marked(spelling)]
                position = start + len(spelling)
        return "".join([*pieces, text[position:]])


def without_marks(parts: list[Part], *, broken_too: bool) -> list[Part]:
    """The parts without the marks of special tokens; `broken_too`: spellings that are broken are whole again."""
    clean: list[Part] = []
    for part in parts:
        if type(part) is Text or type(part) is Thinking:
            text = _clean(part.text, broken_too=broken_too)
            if text:
                clean.append(part if text is part.text else type(part)(text))
        elif type(part) is CallDelta:
            json = _clean(part.json, broken_too=broken_too)
            for escaped in _ESCAPED:
                json = json.replace(escaped, "") if escaped in json else json
            clean.append(part if json is part.json else CallDelta(json))
        else:
            clean.append(part)
    return clean


def _clean(text: str, *, broken_too: bool) -> str:
    if MARK in text:
        text = text.replace(MARK, "")
    return text.replace(BREAK, "") if broken_too and BREAK in text else text
