"""Passages of documents that an answer may cite, and the marks by which the model names them.

A document whose citations are enabled is split into passages: sentences, or the blocks that the client sent. In the prompt each
passage is followed by its mark, `[^7]`, and the model repeats the mark after what it took from there. The text of a citation is
always the passage itself, so that it is verbatim whatever the model writes.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Final

MARK: Final = re.compile(r"\[\^(\d{1,7})\]")
_GAP: Final = re.compile(r"\s+|[。！？]")  # noqa: RUF001 -- Chinese and Japanese sentences end with these
_ENDS: Final = ".!?…。！？"  # noqa: RUF001
_CLOSERS: Final = "\"'”’»)]」』"  # noqa: RUF001
_MOST_MARKS: Final = 16
"""Marks of one citation in the history: a citation of more passages names the first."""
_MOST_SEARCHED: Final = 1_000
"""Passages that are compared with the text of one citation."""


class CitationKind(StrEnum):
    """What a citation counts its place in, by the names of the API."""

    CHARACTERS = "char_location"
    PAGES = "page_location"
    BLOCKS = "content_block_location"
    SEARCH_RESULT = "search_result_location"
    WEB_SEARCH = "web_search_result_location"


@dataclass(frozen=True, slots=True)
class Passage:
    """A text verbatim and its place: from `start` to before `end`, in characters, pages (from 1) or blocks.

    `index` is that of its document among all documents of the conversation, or of its search result, or of its hit of a web
    search, among all of these. `origin` is the source of a search result, or the URL of a page.
    """

    kind: CitationKind
    index: int
    start: int
    end: int
    text: str
    title: str = ""
    origin: str = ""


def mark(number: int) -> str:
    """The mark of a passage; passages are numbered from 1."""
    return f"[^{number}]"


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """The places where the sentences and lines of a text begin and end, each with the space after it."""
    start = 0
    for gap in _GAP.finditer(text):
        if _ends_sentence(text, gap.start(), gap.group()):
            yield start, gap.end()
            start = gap.end()
    if start < len(text):
        yield start, len(text)


def _ends_sentence(text: str, position: int, gap: str) -> bool:
    if not gap.isspace() or "\n" in gap:
        return True
    last = text[max(position - 3, 0) : position].rstrip(_CLOSERS)
    return bool(last) and last[-1] in _ENDS


def merged(numbers: Sequence[int], passages: Sequence[Passage]) -> Sequence[Passage]:
    """What these passages cite together: neighbours in one document are one citation. Unknown numbers are left out."""
    found: list[Passage] = []
    last = 0
    for number in numbers:
        if not 1 <= number <= len(passages) or number == last:
            continue
        passage, before = passages[number - 1], found[-1] if found else None
        if before and number == last + 1 and _adjoin(before, passage):
            found[-1] = replace(before, end=passage.end, text=before.text + passage.text)
        else:
            found.append(passage)
        last = number
    return found


def _adjoin(one: Passage, other: Passage) -> bool:
    if (one.kind, one.index) != (other.kind, other.index):
        return False
    return one.start == other.start if one.kind is CitationKind.PAGES else one.end == other.start


@dataclass(frozen=True, slots=True)
class CitedText:
    """Text of an earlier answer, in pieces, each with what it cites. Marks take the place of the citations in the prompt."""

    pieces: Sequence[tuple[str, Sequence[Passage]]]

    def marked(self, index: "PassageIndex") -> str:
        """The text as the model wrote it, if `index` is that of the passages that it could cite."""
        return "".join(
            text + "".join(mark(number) for citation in citations for number in index.numbers(citation))
            for text, citations in self.pieces
        )


class PassageIndex:
    """Finds the numbers of the passages that a citation names."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._first: dict[tuple[CitationKind, int], int] = {}
        self._starts: dict[tuple[CitationKind, int], list[int]] = {}
        for place, passage in enumerate(passages):
            key = (passage.kind, passage.index)
            self._first.setdefault(key, place)
            self._starts.setdefault(key, []).append(passage.start)

    def numbers(self, citation: Passage) -> Iterator[int]:
        """The numbers of the passages within a citation."""
        return islice(self._within(citation), _MOST_MARKS)

    def _within(self, citation: Passage) -> Iterator[int]:
        key = (citation.kind, citation.index)
        starts = self._starts.get(key, [])
        begin = bisect_left(starts, citation.start)
        for offset in range(begin, min(len(starts), begin + _MOST_SEARCHED)):
            place = self._first[key] + offset
            passage = self._passages[place]
            if passage.start >= citation.end:
                return
            if citation.kind is not CitationKind.PAGES or passage.text.strip() in citation.text:
                yield place + 1
