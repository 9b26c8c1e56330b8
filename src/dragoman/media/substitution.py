"""Puts text and images in the place of the attachments of a dialogue."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dragoman.conversation import Attachment, AttachmentKind, Dialogue, FileId, Image, Inline, Text, ToolResult, Turn, Url
from dragoman.conversation.citations import CitationKind, CitedText, PassageIndex
from dragoman.conversation.types import Content, join_texts
from dragoman.media.citing import PassageMarker
from dragoman.media.notes import element

Find = Callable[[Attachment], Sequence[Text | Image]]
"""Gives what the model gets in place of an image, or as the content of a document, whose source is not a sequence."""


def substitute(dialogue: Dialogue, find: Find) -> Dialogue:
    """The dialogue without attachments; it has the passages that the answer may cite, those that it had before first."""
    reading = _Substitution(find, PassageMarker(dialogue.passages, dialogue.replaced))
    turns = [Turn(turn.role, tuple(reading.content(turn.content))) for turn in dialogue.turns]
    passages = tuple(reading.marker.passages)
    index = PassageIndex(passages)
    turns = [replace(turn, content=tuple(_uncited(part, index) for part in turn.content)) for turn in turns]
    replaced = dict(reading.marker.counts)
    return replace(dialogue, turns=tuple(turns), attachments=0, newest="", passages=passages, replaced=replaced)


def _uncited(part: Content, index: PassageIndex) -> Content:
    return Text(part.marked(index)) if isinstance(part, CitedText) else part


def unresolved(dialogue: Dialogue) -> Iterator[Attachment]:
    """The attachments whose source is not a sequence, in their order."""
    for turn in dialogue.turns:
        for part in turn.content:
            if isinstance(part, Attachment):
                yield from _unresolved(part)
            elif isinstance(part, ToolResult):
                for inner in part.content:
                    yield from _unresolved(inner)


def _unresolved(part: Text | Image | Attachment) -> Iterator[Attachment]:
    if not isinstance(part, Attachment):
        return
    if isinstance(part.source, Inline | Url | FileId):
        yield part
        return
    for inner in part.source:
        yield from _unresolved(inner)


class _Substitution:
    """Reads the attachments in their order, and marks the passages of those that may be cited."""

    def __init__(self, find: Find, marker: PassageMarker) -> None:
        self.marker = marker
        self._find = find

    def content(self, content: Sequence[Content]) -> Iterator[Content]:
        """The content of a turn without attachments."""
        for part in content:
            match part:
                case Attachment():
                    yield from self._read(part)
                case ToolResult():
                    yield replace(part, content=join_texts(self._result(part)))
                case _:
                    yield part

    def _result(self, result: ToolResult) -> Iterator[Text | Image]:
        """The content of a result; after the hits of a web search, what tells the model how to cite them."""
        first, hits = len(self.marker.passages), False
        for part in result.content:
            yield from self._read(part)
            hits = hits or (isinstance(part, Attachment) and part.kind is AttachmentKind.WEB_SEARCH_RESULT)
        if hits and (hint := self.marker.hint(first)):
            yield Text(hint)

    def _read(self, part: Text | Image | Attachment) -> Sequence[Text | Image]:
        if not isinstance(part, Attachment):
            return (part,)
        if part.kind is AttachmentKind.IMAGE:
            return join_texts(self._find(part))
        index, first = self.marker.index(part), len(self.marker.passages)
        hit = part.kind is AttachmentKind.WEB_SEARCH_RESULT
        return element(part, self._parts(part, index), "" if hit else self.marker.hint(first))

    def _parts(self, part: Attachment, index: int) -> Sequence[Text | Image]:
        """The content of a document or a search result."""
        if isinstance(part.source, Inline | Url | FileId):
            found = self._find(part)
            return self.marker.marked_file(part, index, found) if part.cites else found
        if part.cites is None:
            return [piece for inner in part.source for piece in self._read(inner)]
        pieces: list[Text | Image] = []
        for block, inner in enumerate(part.source):
            if not isinstance(inner, Text):
                pieces += self._read(inner)
            elif part.cites in (CitationKind.CHARACTERS, CitationKind.WEB_SEARCH):
                pieces.append(Text(self.marker.marked_text(part, index, inner.text, part.cites)))
            else:
                pieces.append(Text(self.marker.marked_block(part, index, block, inner.text)))
        return pieces
