"""Lowers images, documents and search results to neutral attachments."""

from collections.abc import Sequence

from dragoman.api.anthropic.blocks import (
    AttachedBlock,
    ContentSource,
    DocumentBlock,
    FileSource,
    ImageBlock,
    ImageData,
    PdfData,
    PlainText,
    SearchResultBlock,
    TextBlock,
    UrlSource,
)
from dragoman.conversation.citations import CitationKind
from dragoman.conversation.types import Attachment, AttachmentKind, FileId, Inline, Text, Url


def attachment(block: AttachedBlock, path: str) -> Attachment:
    """The neutral form of the block at `path`."""
    match block:
        case ImageBlock():
            full_size = block.transformations is not None and block.transformations.oversized_image == "error"
            return Attachment(AttachmentKind.IMAGE, _bytes(block.source), path, _field(block), full_size=full_size)
        case DocumentBlock():
            source = _document(block.source, f"{path}.source")
            title, context, cites = block.title or "", block.context or "", _cited_by(block)
            return Attachment(AttachmentKind.DOCUMENT, source, path, _field(block), title=title, context=context, cites=cites)
        case SearchResultBlock():
            parts = _parts(block.content, f"{path}.content")
            return Attachment(
                AttachmentKind.SEARCH_RESULT, parts, path, origin=block.source, title=block.title, cites=_cited_by(block)
            )


def _cited_by(block: DocumentBlock | SearchResultBlock) -> CitationKind | None:
    """What citations of the block count their places in; None if it is not to be cited."""
    if not block.wants_citations:
        return None
    if isinstance(block, SearchResultBlock):
        return CitationKind.SEARCH_RESULT
    match block.source:
        case PlainText():
            return CitationKind.CHARACTERS
        case ContentSource():
            return CitationKind.BLOCKS
        case _:
            return CitationKind.PAGES


def _field(block: ImageBlock | DocumentBlock) -> str:
    """The place of the data in the block, with the tags that pydantic puts into paths (ERR-9)."""
    match block.source:
        case ImageData() | PdfData():
            return f"{block.type}.source.base64.data"
        case UrlSource():
            return f"{block.type}.source.url.url"
        case FileSource():
            return f"{block.type}.source.file.file_id"
        case _:
            return ""


def _bytes(source: ImageData | PdfData | UrlSource | FileSource) -> Inline | Url | FileId:
    match source:
        case ImageData() | PdfData():
            return Inline(source.data, source.media_type)
        case UrlSource():
            return Url(source.url)
        case FileSource():
            return FileId(source.file_id)


def _document(
    source: PdfData | PlainText | ContentSource | UrlSource | FileSource, path: str
) -> Inline | Url | FileId | Sequence[Text | Attachment]:
    match source:
        case PlainText(data=text):
            return (Text(text),)
        case ContentSource(content=content):
            return (Text(content),) if isinstance(content, str) else _parts(content, f"{path}.content")
        case _:
            return _bytes(source)


def _parts(blocks: Sequence[TextBlock | ImageBlock], path: str) -> Sequence[Text | Attachment]:
    return tuple(
        Text(block.text) if isinstance(block, TextBlock) else attachment(block, f"{path}.{index}")
        for index, block in enumerate(blocks)
    )
