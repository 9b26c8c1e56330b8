"""What comes along with words, as the model reads it: documents and search results as text, and notes for what it cannot see.

The form is fixed, so that an attachment reads the same in every later turn, and nothing that the client said of it is lost:

    <document>                              <search_result>
    <title>Report</title>                   <source>https://example.com</source>
    <context>Of last year.</context>        <title>Example</title>
    <content>                               <content>
    …                                       …
    </content>                              </content>
    </document>                             </search_result>

A line that has nothing to say is left out. Where there is an image or a PDF, a note stands in its place (IN-4). The note tells
what was there by the length of its base64, which is never decoded, or by its address, which is never visited.
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
    needs_eyes,
)

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PDF = "application/pdf"
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}")
_WORD = re.compile(r"[\w.-]{1,40}")
_ADDRESS = re.compile(r"https?://\S+")


def as_text(block: Attachment) -> str:
    """What the model reads in the place of the block."""
    match block:
        case ImageBlock():
            return f"[image omitted: this model cannot see images ({_facts(block.source)})]"
        case DocumentBlock():
            return _element("document", _document_text(block), title=block.title, context=block.context)
        case SearchResultBlock():
            return _element("search_result", _joined(block.content), source=block.source, title=block.title)


def omitted(kind: str) -> str:
    """What the model reads in the place of something of another kind, such as audio."""
    return f"[{kind if _WORD.fullmatch(kind) else 'part'} omitted: this model cannot take it]"


def notes_on(blocks: Iterable[Attachment]) -> Sequence[str]:
    """What of these the model does not get, in words for the log."""
    notes, unseen, cited = [], Counter[str](), False
    for block in blocks:
        if needs_eyes(block):
            unseen[block.type] += 1
        cited = cited or (isinstance(block, CitableBlock) and block.wants_citations)
    if unseen:
        counts = " and ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in unseen.items())
        notes.append(f"omitted: {counts} that the model cannot see")
    if cited:
        notes.append("ignored: citations, as the model writes none")
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
            return url if _ADDRESS.fullmatch(url) else "at an address that is none"  # bytes can hide in a data: URL
        case FileSource():  # `rules` has refused it (FIL-4)
            return f"file {source.file_id}"


def _size(data: str) -> str:
    if not _BASE64.fullmatch(data) or len(data) % 4:
        return "not readable as base64"
    return f"{len(data) * 3 // 4 - data.count('=', -2):,} bytes"
