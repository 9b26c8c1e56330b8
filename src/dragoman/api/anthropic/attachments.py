"""Renders attachments for the model: documents and search results as text, and notes for what it cannot read.

The form is fixed, so that an attachment reads the same in every later turn and no field that the client sent is lost:

    <document>                              <search_result>
    <title>Report</title>                   <source>https://example.com</source>
    <context>Of last year.</context>        <title>Example</title>
    <content>                               <content>
    …                                       …
    </content>                              </content>
    </document>                             </search_result>

Lines without a value are left out. An image or a PDF is replaced by a note (IN-4). The note gives its size, computed from the
length of the base64, which is never decoded, or its URL, which is never fetched.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from dragoman.api.anthropic.blocks import (
    Attachment,
    CitableBlock,
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
    needs_vision,
)

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PDF = "application/pdf"
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}")
_WORD = re.compile(r"[\w.-]{1,40}")
_URL = re.compile(r"https?://\S+")


def as_text(block: Attachment) -> str:
    """The text that replaces the block."""
    match block:
        case ImageBlock():
            return f"[image omitted: this model cannot see images ({_facts(block.source)})]"
        case DocumentBlock():
            return _element("document", _document_text(block), title=block.title, context=block.context)
        case SearchResultBlock():
            return _element("search_result", _joined(block.content), source=block.source, title=block.title)


def omitted(kind: str) -> str:
    """The note that replaces a part of another kind, such as audio."""
    return f"[{kind if _WORD.fullmatch(kind) else 'part'} omitted: this model cannot take it]"


def notes_on(blocks: Iterable[Attachment]) -> Sequence[str]:
    """Notes for the log about what the model does not get of these blocks."""
    notes, unseen, cited = [], Counter[str](), False
    for block in blocks:
        if needs_vision(block):
            unseen[block.type] += 1
        cited = cited or (isinstance(block, CitableBlock) and block.wants_citations)
    if unseen:
        counts = " and ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in unseen.items())
        notes.append(f"omitted: {counts} that the model cannot see")
    if cited:
        notes.append("ignored: citations, which the model does not write")
    return tuple(notes)


def _element(kind: str, text: str, **facts: str | None) -> str:
    lines = [f"<{name}>{fact}</{name}>" for name, fact in facts.items() if fact]
    return "\n".join([f"<{kind}>", *lines, "<content>", text, "</content>", f"</{kind}>"])


def _document_text(block: DocumentBlock) -> str:
    match block.source:
        case PlainText(data=text):
            return text
        case ContentSource(content=content):
            return content if isinstance(content, str) else _joined(content)
        case source:
            kind = "files of this kind" if isinstance(source, PdfData) and source.media_type != _PDF else "PDF"
            return f"[document omitted: this model cannot read {kind} ({_facts(source)})]"


def _joined(blocks: Iterable[TextBlock | ImageBlock]) -> str:
    return "\n".join(block.text if isinstance(block, TextBlock) else as_text(block) for block in blocks)


def _facts(source: ImageData | PdfData | UrlSource | FileSource) -> str:
    match source:
        case ImageData() | PdfData():
            kind = source.media_type if _MEDIA_TYPE.fullmatch(source.media_type) else "of an unknown kind"
            return f"{kind}, {_size(source.data)}"
        case UrlSource(url=url):
            return url if _URL.fullmatch(url) else "at an invalid URL"  # a data: URL would hold the bytes
        case FileSource():  # refused by `rules` before (FIL-4)
            return f"file {source.file_id}"


def _size(data: str) -> str:
    if not _BASE64.fullmatch(data) or len(data) % 4:
        return "not readable as base64"
    return f"{len(data) * 3 // 4 - data.count('=', -2):,} bytes"
