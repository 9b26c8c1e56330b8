"""Where a prompt is cut before it is tokenized: into segments at its special tokens, and into batches of segments.

The cuts depend on the text alone, so that the same text always becomes the same tokens. A batch is small enough to be worked
on without making other requests wait.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_BATCH = 256 * 1024
"""Characters of a batch, unless a single segment has more."""
_BATCH_STRETCHES = 2_000
_WINDOW = 64 * 1024
"""Characters that are searched for a border at a time."""
_LARGE = 1_000_000
"""Characters of a segment that is cut further."""

_NEAR = 4_096
"""Characters before the end of a piece that are searched first for a place to cut."""
_AFTER_WORD = re.compile(r"(?<=\w)(?=\s)")

Segment = tuple[str, str]
"""A piece of a prompt, and the sentinel if it is in the piece: the same text without a sentinel is another segment."""


@dataclass(slots=True)
class Batch:
    """Stretches in their order. `characters` is the length of the text that they cover, sentinels included.

    Empty where a search for the next border is to be interrupted.
    """

    segments: list[Segment] = field(default_factory=list)
    characters: int = 0

    def add(self, text: str, sentinel: str) -> None:
        """Take a segment of a text that was escaped by `sentinel`."""
        self.segments.append((text, sentinel if sentinel and sentinel in text else ""))
        self.characters += len(text)

    def takes(self, text: str) -> bool:
        """Whether a segment more keeps the batch small."""
        return self.characters + len(text) <= _BATCH and len(self.segments) < _BATCH_STRETCHES


class Splitter:
    """Splits prompts in front of every one of `borders`."""

    def __init__(self, borders: Sequence[str]) -> None:
        self._border = re.compile(any_of(borders)) if borders else None
        self._overlap = max(map(len, borders), default=0)

    def batches(self, text: str, sentinel: str) -> Iterator[Batch]:
        """All of a text, in batches."""
        batch = Batch()
        start = 0
        while start < len(text):
            end = start + 1
            while (found := self._next(text, end)) is None:  # a window without a border
                end += _WINDOW
                yield Batch()
            segment, start = text[start:found], found
            if batch.segments and not batch.takes(segment):
                yield batch
                batch = Batch()
            if len(segment) <= _LARGE:
                batch.add(segment, sentinel)
                continue
            for piece in _pieces(segment, sentinel):
                alone = Batch()
                alone.add(piece, sentinel)
                yield alone
        if batch.segments:
            yield batch

    def _next(self, text: str, start: int) -> int | None:
        """Where the first border in a window of the text begins; the end of the text where no border is left."""
        if self._border is None or start >= len(text):
            return len(text)
        found = self._border.search(text, start, start + _WINDOW + self._overlap - 1)
        if found:
            return found.start()
        return None if start + _WINDOW < len(text) else len(text)


def any_of(spellings: Sequence[str]) -> str:
    """A regular expression for one of these."""
    return "|".join(map(re.escape, spellings))


def _pieces(text: str, sentinel: str) -> Iterator[str]:
    """A large segment in pieces of half a batch to a whole one, cut between a word and the space after it if possible."""
    start = 0
    while len(text) - start > _BATCH:
        end = _cut(text, start + _BATCH // 2, start + _BATCH, sentinel)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(text: str, lowest: int, highest: int, sentinel: str) -> int:
    places = (_after_word(text, max(lowest, highest - _NEAR), highest), _after_word(text, lowest, highest))
    cut = next((place for place in (*places, text.rfind("<", lowest, highest)) if place > 0), highest)
    within = text.find(sentinel, cut - len(sentinel) + 1, cut + len(sentinel) - 1) if sentinel else -1
    return within if within >= 0 else cut  # in front of the sentinel, never in the middle of it


def _after_word(text: str, lowest: int, highest: int) -> int:
    """The last place where space follows a word, where tokenizers cut, too; -1 where there is none."""
    return max((found.start() for found in _AFTER_WORD.finditer(text, lowest, highest)), default=-1)
