"""Finds what looks like a special token in the texts of a dialogue; each of its values is searched once."""

from collections.abc import Iterable, Iterator

import msgspec

from dragoman.conversation import Dialogue, Image, Text, Thinking, Tool, ToolResult
from dragoman.conversation.once import once
from dragoman.conversation.types import Content
from dragoman.special_tokens import candidates


def candidates_in(dialogue: Dialogue, names: Iterable[str]) -> set[str]:
    """The strings in a dialogue that look like special tokens or are one of the names."""
    values = list(_values(dialogue))
    found: set[str] = set().union(*map(_shaped, values))
    others = [name for name in names if name not in found]
    return found.union(name for name in others if any(name in words for value in values for words in _words(value)))


def _values(dialogue: Dialogue) -> Iterator[Content | Tool]:
    yield from dialogue.system
    yield from dialogue.tools
    for turn in dialogue.turns:
        yield from turn.content


@once
def _shaped(value: Content | Tool) -> frozenset[str]:
    return frozenset(found for words in _words(value) for found in candidates(words, ()))


def _words(value: Content | Tool) -> Iterator[str]:
    """The texts of a value, without its images; what is not text is one text as JSON."""
    match value:
        case Text(text) | Thinking(text):
            yield text
        case ToolResult(call_id, name, content):
            yield from (call_id, name)
            yield from (part.text for part in content if isinstance(part, Text))
        case Image():
            pass
        case _:
            yield msgspec.json.encode(value).decode()
