"""Puts text and images in the place of the attachments of a dialogue."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dragoman.conversation import Attachment, AttachmentKind, Dialogue, FileId, Image, Inline, Text, ToolResult, Turn, Url
from dragoman.conversation.types import Content, join_texts
from dragoman.media.notes import element

Find = Callable[[Attachment], Sequence[Text | Image]]
"""Gives what the model gets in place of an image, or as the content of a document, whose source is not a sequence."""


def substitute(dialogue: Dialogue, find: Find) -> Dialogue:
    """The dialogue without attachments."""
    turns = tuple(Turn(turn.role, tuple(_content(turn.content, find))) for turn in dialogue.turns)
    return replace(dialogue, turns=turns, attachments=0, newest="")


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


def _content(content: Sequence[Content], find: Find) -> Iterator[Content]:
    for part in content:
        match part:
            case Attachment():
                yield from _read(part, find)
            case ToolResult():
                yield replace(part, content=join_texts(inner for outer in part.content for inner in _read(outer, find)))
            case _:
                yield part


def _read(part: Text | Image | Attachment, find: Find) -> Sequence[Text | Image]:
    if not isinstance(part, Attachment):
        return (part,)
    if isinstance(part.source, Inline | Url | FileId):
        found = find(part)
        return found if part.kind is AttachmentKind.IMAGE else element(part, found)
    return element(part, [piece for inner in part.source for piece in _read(inner, find)])
