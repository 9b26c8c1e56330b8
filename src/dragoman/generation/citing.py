"""Finds the marks of citations in the visible text of an answer, and replaces them by what they cite.

A mark follows the sentence that it supports. So the sentence that is being written is held back until it is clear whether a
mark follows; what comes before it is not cited. A mark of a passage that does not exist is dropped. A sentence that repeats a
whole passage word for word cites it without a mark: small models quote, and forget the mark.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from dragoman.conversation.citations import MARK, Passage, mark, merged, sentences
from dragoman.parts import Citation, Cited, Text

_BEGUN: Final = re.compile(r"[\s,]*(?:\[(?:\^(?:\d{0,7})?)?)?")
"""What may be the beginning of a mark, with the space before it."""
_BETWEEN: Final = re.compile(r"[ ,]*")
_END: Final = re.compile(r"[.,;:!?]")
_MOST_HELD: Final = 1_000
"""Characters of a sentence after which its beginning is sent: code and tables have no sentences."""
_TAIL: Final = 200
_LEAST_QUOTED: Final = 20
"""Characters of a passage that is cited without a mark."""


class CitationReader:
    """Reads the visible text of one answer. `passages` are numbered from 1."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._held = ""
        self._quotable: dict[str, int] = {}
        for number, passage in enumerate(passages, 1):
            if len(quoted := _plain(passage.text)) >= _LEAST_QUOTED:
                self._quotable.setdefault(quoted, number)

    def feed(self, text: str) -> Iterator[Text | Cited]:
        """Read the next text, and yield what no mark can follow any more."""
        for start in range(0, len(text), _MOST_HELD):
            yield from self._feed(text[start : start + _MOST_HELD])

    def _feed(self, text: str) -> Iterator[Text | Cited]:
        self._held += text
        yield from self._marked(whole=False)
        spans = list(sentences(self._held))
        if len(spans) > 1 and not _BEGUN.fullmatch(self._held, spans[-1][0]):
            yield from self._unmarked(spans[-1][0])
        elif len(self._held) > _MOST_HELD:
            yield from self._plain_text(len(self._held) - _TAIL)

    def flush(self) -> Iterator[Text | Cited]:
        """Yield the text that was held back, at its end."""
        yield from self._marked(whole=True)
        yield from self._unmarked(len(self._held))

    def _marked(self, *, whole: bool) -> Iterator[Text | Cited]:
        """Yield the text up to each group of marks that is complete."""
        while found := MARK.search(self._held):
            end, numbers = found.end(), [int(found[1])]
            while further := _next_mark(self._held, end):
                end = further.end()
                numbers.append(int(further[1]))
            if not whole and _BEGUN.fullmatch(self._held, end):
                return  # another mark, or the end of the sentence, may follow
            closer = _END.match(self._held, end)
            claim = self._held[: found.start()]
            if closer is not None and not claim.rstrip().endswith((".", "!", "?", ":")):
                claim, end = claim.rstrip(" ,") + closer[0], closer.end()
            after = self._held[end:]
            *before, (start, _) = [*sentences(claim)] or [(0, 0)]
            self._held = claim[:start]
            if before:
                yield from self._unmarked(start)
            self._held = after
            yield from self._cited(claim[start:], numbers)

    def _unmarked(self, end: int) -> Iterator[Text | Cited]:
        """Yield the sentences up to a position, which have no marks."""
        text, self._held = self._held[:end], self._held[end:]
        plain = 0
        for start, stop in sentences(text):
            number = self._quotable.get(_plain(text[start:stop]))
            if number is not None:
                if plain < start:
                    yield Text(text[plain:start])
                yield from self._cited(text[start:stop], [number])
                plain = stop
        if plain < len(text):
            yield Text(text[plain:])

    def _plain_text(self, end: int) -> Iterator[Text]:
        yield Text(self._held[:end])
        self._held = self._held[end:]

    def _cited(self, text: str, numbers: Sequence[int]) -> Iterator[Text | Cited]:
        known = [number for number in dict.fromkeys(numbers) if 1 <= number <= len(self._passages)]
        if not known or not text.strip():
            if text:
                yield Text(text)
            return
        citations = tuple(
            Citation(each.kind.value, each.index, each.start, each.end, each.text, each.title, each.origin)
            for each in merged(known, self._passages)
        )
        yield Cited(text, citations, "".join(map(mark, known)))


def _next_mark(text: str, position: int) -> "re.Match[str] | None":
    """The mark that follows another one, perhaps after spaces or a comma."""
    gap = _BETWEEN.match(text, position)
    return MARK.match(text, gap.end() if gap else position)


def _plain(text: str) -> str:
    """A text without differences of space at its ends."""
    return " ".join(text.split())
