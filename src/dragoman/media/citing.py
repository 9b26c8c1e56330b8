"""Marks the passages of the documents and search results that an answer may cite."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from dragoman.conversation import Attachment, AttachmentKind, Image, Text
from dragoman.conversation.citations import CitationKind, Passage, mark, sentences
from dragoman.media.notes import PAGE, is_note

_HINT: Final = "<citations>After each sentence of the answer, repeat the mark of the passage that it is taken from.</citations>"


class PassageMarker:
    """Counts the attachments of a conversation, and marks the passages of those that may be cited.

    It continues after `passages`, and after so many attachments of each kind.
    """

    def __init__(self, passages: Sequence[Passage] = (), counts: Mapping[AttachmentKind, int] = MappingProxyType({})) -> None:
        self.passages = [*passages]
        self.counts = Counter(counts)

    def index(self, attachment: Attachment) -> int:
        """The index of the next attachment among those of its kind."""
        self.counts[attachment.kind] += 1
        return self.counts[attachment.kind] - 1

    def hint(self, first: int) -> str:
        """What tells the model how to cite, if there are passages since that number of them; else nothing."""
        return _HINT if len(self.passages) > first else ""

    def marked_file(self, attachment: Attachment, index: int, parts: Sequence[Text | Image]) -> Sequence[Text | Image]:
        """The parts of what was read of a file, with marks: in the pages of a PDF, in the text of another file."""
        first = parts[0] if parts else None
        if isinstance(first, Text) and PAGE.match(first.text):
            return [Text(self._marked_page(attachment, index, part.text)) if isinstance(part, Text) else part for part in parts]
        if isinstance(first, Text) and not is_note(first.text, attachment.kind):
            return [Text(self.marked_text(attachment, index, first.text, CitationKind.CHARACTERS)), *parts[1:]]
        return parts

    def marked_text(self, attachment: Attachment, index: int, text: str, kind: CitationKind) -> str:
        """The text of a document or a hit, with marks after its sentences, whose places are counted in characters."""
        passage = Passage(kind, index, 0, 0, "", attachment.title, attachment.origin)
        return "".join(self._sentences(text, passage, moves=True))

    def _marked_page(self, attachment: Attachment, index: int, text: str) -> str:
        opening = PAGE.match(text)
        if opening is None:  # a note, or the end of a page
            return text
        number = int(opening[1])
        passage = Passage(CitationKind.PAGES, index, number, number + 1, "", attachment.title)
        return opening[0] + "".join(self._sentences(text[opening.end() :], passage, moves=False))

    def _sentences(self, text: str, passage: Passage, *, moves: bool) -> Iterator[str]:
        for start, end in sentences(text):
            words = text[start:end]
            if not words.strip():
                yield words
                continue
            found = replace(passage, text=words)
            yield self._add(replace(found, start=start, end=end) if moves else found)

    def marked_block(self, attachment: Attachment, index: int, block: int, text: str) -> str:
        """The text of a block of a document or a search result, with its mark."""
        results = attachment.kind is AttachmentKind.SEARCH_RESULT
        kind = CitationKind.SEARCH_RESULT if results else CitationKind.BLOCKS
        return self._add(Passage(kind, index, block, block + 1, text, attachment.title, attachment.origin))

    def _add(self, passage: Passage) -> str:
        """The text of a passage with its mark before the space at its end."""
        self.passages.append(passage)
        words = passage.text.rstrip()
        return f"{words}{mark(len(self.passages))}{passage.text[len(words) :]}"
