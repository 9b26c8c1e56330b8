"""The text of attachments: elements around documents and search results, and notes for what a model cannot read (IN-4).

The form is fixed, so that an attachment reads the same in every later turn and no field that the client sent is lost:

    <document>                              <search_result>
    <title>Report</title>                   <source>https://example.com</source>
    <context>Of last year.</context>        <title>Example</title>
    <content>                               <content>
    …                                       …
    </content>                              </content>
    </document>                             </search_result>

Lines without a value are left out. A note gives the size of inline data, computed from the length of the base64, or the URL.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dragoman.conversation import Attachment, AttachmentKind, FileId, Image, Inline, Text, Url
from dragoman.conversation.types import join_texts

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}")
_WORD = re.compile(r"[\w.-]{1,80}")
_URL = re.compile(r"https?://\S+")


PAGE = re.compile(r'<page number="(\d+)">(?:\n|$)')
"""How the text of a page of a PDF begins."""


def page(number: int, text: str) -> str:
    """The opening of a page with its text, which may be empty."""
    return f'<page number="{number}">\n{text}'.rstrip("\n")


def element(attachment: Attachment, content: Sequence[Text | Image], hint: str = "") -> Sequence[Text | Image]:
    """The content of a document or a search result between its tags, with a hint for the model how to cite it."""
    kind = attachment.kind.value
    facts = {"source": attachment.origin, "title": attachment.title, "context": attachment.context}
    lines = [f"<{name}>{fact}</{name}>" for name, fact in facts.items() if fact]
    opened, closed = "\n".join([f"<{kind}>", *lines, "<content>"]), f"</content>\n</{kind}>"
    if hint:
        closed = f"</content>\n{hint}\n</{kind}>"
    return join_texts([Text(opened), *(content or (Text(""),)), Text(closed)])


@dataclass(frozen=True, slots=True)
class Omission:
    """Why an attachment is omitted: for the model, a sentence without its end; for the log, a clause about the attachment."""

    sentence: str
    clause: str


CANNOT_SEE = Omission("this model cannot see images", "that the model cannot see")
NOT_FETCHED = Omission("this server does not fetch URLs", "by URL, which this server does not fetch")
UNKNOWN_FILE = Omission("this server keeps no files", "by file id, as this server keeps no files")
UNREADABLE = Omission("it cannot be read", "that cannot be read")


def note(attachment: Attachment, omission: Omission) -> Text:
    """The note in the place of an attachment."""
    return Text(f"[{attachment.kind.value} omitted: {omission.sentence} ({_facts(attachment.source)})]")


def is_note(text: str, kind: AttachmentKind) -> bool:
    """Whether a text is a note in the place of an attachment of that kind."""
    return text.startswith(f"[{kind.value} omitted: ")


def log_notes(omitted: Iterable[tuple[Omission, AttachmentKind]]) -> Sequence[str]:
    """The notes for the log about attachments that were omitted, one for each reason."""
    counts = Counter(omitted)
    reasons = dict.fromkeys(omission for omission, _ in counts)
    return tuple(f"omitted: {_listed(counts, omission)} {omission.clause}" for omission in reasons)


def _listed(counts: Counter[tuple[Omission, AttachmentKind]], omission: Omission) -> str:
    return " and ".join(
        f"{count} {kind.value}{'s' * (count > 1)}" for (reason, kind), count in counts.items() if reason == omission
    )


def _facts(source: Inline | Url | FileId | Sequence[Text | Attachment]) -> str:
    match source:
        case Inline():
            kind = source.media_type if _MEDIA_TYPE.fullmatch(source.media_type) else "of an unknown kind"
            return f"{kind}, {_size(source.data)}"
        case Url(url=url):
            return url if _URL.fullmatch(url) else "at an invalid URL"  # a data: URL would hold the bytes
        case FileId(file_id=file_id):
            return f"file {file_id}" if _WORD.fullmatch(file_id) else "a file of an invalid id"
        case _:
            return "in parts"


def _size(data: str) -> str:
    if not _BASE64.fullmatch(data) or len(data) % 4:
        return "not readable as base64"
    return f"{len(data) * 3 // 4 - data.count('=', -2):,} bytes"
