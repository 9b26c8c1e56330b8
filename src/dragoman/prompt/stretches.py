"""Where a prompt is cut before it is tokenized: into stretches at its control tokens, and into batches of stretches.

The cuts depend on the text alone, so that the same text always becomes the same tokens. A batch is small enough to be worked
on without making other requests wait.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_BATCH = 256 * 1024
"""Characters of a batch, unless a single stretch has more."""
_BATCH_STRETCHES = 2_000
_WINDOW = 64 * 1024
"""Characters that are searched for a border at a time."""
_LARGE = 1_000_000
"""Characters of a stretch that is cut further."""

_NEAR = 4_096
"""Characters before the end of a piece that are searched first for a place to cut."""
_AFTER_WORD = re.compile(r"(?<=\w)(?=\s)")

Stretch = tuple[str, str]
"""A piece of a prompt, and the shield's mark where it stands in it: without the mark, the same piece is other text."""


@dataclass(slots=True)
class Batch:
    """Stretches in their order. `characters` is the length of the text that they cover, marks included.

    Empty where a search for the next border is to be interrupted.
    """

    stretches: list[Stretch] = field(default_factory=list)
    characters: int = 0

    def add(self, text: str, mark: str) -> None:
        """Take a stretch of a text that was shielded by `mark`."""
        self.stretches.append((text, mark if mark and mark in text else ""))
        self.characters += len(text)

    def takes(self, text: str) -> bool:
        """Whether a stretch more keeps the batch small."""
        return self.characters + len(text) <= _BATCH and len(self.stretches) < _BATCH_STRETCHES


class Splitter:
    """Splits prompts in front of every one of `borders`."""

    def __init__(self, borders: Sequence[str]) -> None:
        self._border = re.compile(any_of(borders)) if borders else None
        self._overlap = max(map(len, borders), default=0)

    def batches(self, text: str, mark: str) -> Iterator[Batch]:
        """All of a text, in batches."""
        batch = Batch()
        start = 0
        while start < len(text):
            end = start + 1
            while (found := self._next(text, end)) is None:  # a window without a border
                end += _WINDOW
                yield Batch()
            stretch, start = text[start:found], found
            if batch.stretches and not batch.takes(stretch):
                yield batch
                batch = Batch()
            if len(stretch) <= _LARGE:
                batch.add(stretch, mark)
                continue
            for piece in _pieces(stretch, mark):
                alone = Batch()
                alone.add(piece, mark)
                yield alone
        if batch.stretches:
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


def _pieces(text: str, mark: str) -> Iterator[str]:
    """A large stretch in pieces of half a batch to a whole one, cut between a word and the space after it if possible."""
    start = 0
    while len(text) - start > _BATCH:
        end = _cut(text, start + _BATCH // 2, start + _BATCH, mark)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(text: str, lowest: int, highest: int, mark: str) -> int:
    places = (_after_word(text, max(lowest, highest - _NEAR), highest), _after_word(text, lowest, highest))
    cut = next((place for place in (*places, text.rfind("<", lowest, highest)) if place > 0), highest)
    within = text.find(mark, cut - len(mark) + 1, cut + len(mark) - 1) if mark else -1
    return within if within >= 0 else cut  # in front of the mark, never in the middle of it


def _after_word(text: str, lowest: int, highest: int) -> int:
    """The last place where space follows a word, where tokenizers cut, too; -1 where there is none."""
    return max((found.start() for found in _AFTER_WORD.finditer(text, lowest, highest)), default=-1)
