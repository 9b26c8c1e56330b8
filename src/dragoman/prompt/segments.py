"""Splits prompts for the tokenizer: into segments at special tokens, and into batches of segments.

The splits depend on the text alone, so that the same text always becomes the same tokens. A batch is small enough to be
tokenized without making other requests wait.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix

from msgspec import Struct

_BATCH = 128 * 1024
"""Characters of a batch, unless a single segment is longer."""
_BATCH_SEGMENTS = 500
_WINDOW = 64 * 1024
"""Characters that are searched for a border at once."""
_LARGE = 500_000
"""Segments with more characters are split further."""

_WINDOW_OF_WORDS = 4_096
"""Characters that are searched for a position after a word at a time, from the end."""
_AFTER_WORD = re.compile(r"(?<=\w)(?=\s)")


class Segment(Struct, frozen=True, gc=False):
    """A part of a prompt, and the sentinel if the part contains it: the same text without a sentinel is another segment.

    The garbage collector does not track it, since a hundred thousand are cached.
    """

    text: str
    sentinel: str


@dataclass(slots=True)
class Batch:
    """Segments in order. `characters` is the length of the text that they cover, sentinels included.

    An empty batch only interrupts the search for the next border.
    """

    segments: list[Segment] = field(default_factory=list)
    characters: int = 0

    def add(self, text: str, sentinel: str) -> None:
        """Add a segment of a text that was escaped with `sentinel`."""
        self.segments.append(Segment(text, sentinel if sentinel and sentinel in text else ""))
        self.characters += len(text)

    def takes(self, characters: int) -> bool:
        """Whether the batch stays small with another segment of this length."""
        return self.characters + characters <= _BATCH and len(self.segments) < _BATCH_SEGMENTS


class Splitter:
    """Splits prompts before every special token in `borders`."""

    def __init__(self, borders: Sequence[str]) -> None:
        self._border = re.compile(any_of(borders)) if borders else None
        self._overlap = max(map(len, borders), default=0)

    def batches(self, text: str, sentinel: str) -> Iterator[Batch]:
        """The whole text, in batches."""
        batch = Batch()
        start = 0
        while start < len(text):
            end = start + 1
            while (found := self._next(text, end)) is None:  # a window without a border
                end += _WINDOW
                yield Batch()
            begin, start = start, found
            if batch.segments and not batch.takes(found - begin):
                yield batch
                batch = Batch()
            if found - begin <= _LARGE:
                batch.add(text[begin:found], sentinel)
                continue
            for piece in _pieces(text, begin, found, sentinel):
                alone = Batch()
                alone.add(piece, sentinel)
                yield alone
        if batch.segments:
            yield batch

    def _next(self, text: str, start: int) -> int | None:
        """The first border in a window of the text; the end of the text if no border is left; None if the window has none."""
        if self._border is None or start >= len(text):
            return len(text)
        found = self._border.search(text, start, start + _WINDOW + self._overlap - 1)
        if found:
            return found.start()
        return None if start + _WINDOW < len(text) else len(text)


def any_of(spellings: Sequence[str]) -> str:
    """A regular expression that matches any of these. It begins with what they share, by which texts are searched quickly."""
    shared = commonprefix(spellings)  # noqa: RUF071 -- a prefix in characters, not a path
    rest = "|".join(re.escape(spelling[len(shared) :]) for spelling in spellings)
    return f"{re.escape(shared)}(?:{rest})" if shared else rest


def _pieces(text: str, start: int, end: int, sentinel: str) -> Iterator[str]:
    """A large segment in pieces of half a batch to a whole one, split between a word and the space after it if possible."""
    while end - start > _BATCH:
        cut = _cut(text, start + _BATCH // 2, start + _BATCH, sentinel)
        yield text[start:cut]
        start = cut
    yield text[start:end]


def _cut(text: str, lowest: int, highest: int, sentinel: str) -> int:
    cut = _after_word(text, lowest, highest)
    if cut < 0:
        cut = text.rfind("<", lowest, highest)
    if cut < 0:
        cut = highest
    within = text.find(sentinel, cut - len(sentinel) + 1, cut + len(sentinel) - 1) if sentinel else -1
    return within if within >= 0 else cut  # before the sentinel, never inside it


def _after_word(text: str, lowest: int, highest: int) -> int:
    """The last position where space follows a word, where tokenizers split as well; -1 if there is none."""
    for end in range(highest, lowest, -_WINDOW_OF_WORDS):
        found = [match.start() for match in _AFTER_WORD.finditer(text, max(lowest, end - _WINDOW_OF_WORDS), end)]
        if found:
            return found[-1]
    return -1
