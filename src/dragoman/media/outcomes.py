"""What reading an attachment gives, and the dialogue that is made of that.

These functions run on the event loop or in the worker process that reads a large request. They decode base64 and nothing else;
`reader` does the rest.
"""

import binascii
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dragoman.conversation import Attachment, AttachmentKind, Dialogue, FileId, Image, Inline, Text, Url
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT, Limits
from dragoman.media.image_decoding import LONGEST_SIDE
from dragoman.media.notes import CANNOT_SEE, NOT_FETCHED, UNKNOWN_FILE, UNREADABLE, Omission, log_notes, note
from dragoman.media.pdf_pages import too_many_pages
from dragoman.media.substitution import substitute, unresolved

_OVERHEAD: Final = 1024
"""Bytes of an outcome besides its text and images."""

_SOON: Final = 60.0
_LATER: Final = 600.0
"""Seconds after which something that failed is tried again."""

Key = str
"""Identifies what is read: the kind of the attachment, and a digest of its data, its URL, or a file and its owner."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The text and the images of an attachment, and notes for the log; or why it is `unreadable`, a sentence for the client.

    `scaled_down`: it is an image that was too large. `pages` is the number of pages of a PDF, 0 for anything else. `expires`:
    the time of the monotonic clock from which another try may give another outcome.
    """

    parts: Sequence[Text | Image] = ()
    notes: Sequence[str] = ()
    unreadable: str = ""
    scaled_down: bool = False
    pages: int = 0
    expires: float = math.inf

    @property
    def outdated(self) -> bool:
        """Whether another try may give another outcome."""
        return time.monotonic() >= self.expires

    @property
    def images(self) -> Iterator[Image]:
        """The images among the parts."""
        return (part for part in self.parts if isinstance(part, Image))

    @property
    def characters(self) -> int:
        """The length of the text."""
        return sum(len(part.text) for part in self.parts if isinstance(part, Text))

    @property
    def size(self) -> int:
        """About how many bytes this takes in memory."""
        return _OVERHEAD + 4 * self.characters + sum(len(image.data) for image in self.images)

    @property
    def light(self) -> "Outcome":
        """The same without the bytes of its images: all that rendering needs."""
        return replace(self, parts=tuple(replace(part, data=b"") if isinstance(part, Image) else part for part in self.parts))


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be read: `images`, as the model sees them or another model describes them, and what is at `urls`.

    `owner` is the owner of the files that can be read, None if there are none. With `strict`, what cannot be read makes a
    request fail (IN-4).
    """

    images: bool = False
    urls: bool = False
    strict: bool = False
    limits: Limits = DEFAULT
    owner: str | None = None

    def obstacle(self, attachment: Attachment) -> Omission | None:
        """Why nothing tries to read the attachment; None if it is read."""
        if attachment.kind is AttachmentKind.IMAGE and not self.images:
            return CANNOT_SEE
        match attachment.source:
            case FileId() if self.owner is None:
                return UNKNOWN_FILE
            case Url() if not self.urls:
                return NOT_FETCHED
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attachment that must be read: its data, its URL, or the id of a file and its owner.

    `problem` is set instead if the data cannot be read.
    """

    kind: AttachmentKind
    data: bytes = b""
    url: str = ""
    file: tuple[str, str] | None = None
    problem: str = ""


def soon() -> float:
    """When to try again what failed for now: a dead URL in the history does not delay every turn."""
    return time.monotonic() + _SOON


def later() -> float:
    """When to try again what took too long."""
    return time.monotonic() + _LATER


def needs_reading(dialogue: Dialogue, sight: Sight) -> bool:
    """Whether an attachment must be read before its text and images are known."""
    return any(sight.obstacle(attachment) is None for attachment in unresolved(dialogue))


def wanted(dialogue: Dialogue, sight: Sight, known: Mapping[Key, Outcome]) -> dict[Key, Wanted]:
    """The attachments that must be read and have no known outcome. Raises `InvalidRequest` if too many must be read."""
    read = [attachment for attachment in unresolved(dialogue) if sight.obstacle(attachment) is None]
    sight.limits.check("attachments", len(read), "messages")
    found: dict[Key, Wanted] = {}
    for attachment in read:
        key = key_of(attachment, sight)
        if key not in known and key not in found:
            found[key] = _wanted(attachment, sight)
    return found


def without_attachments(dialogue: Dialogue, sight: Sight, outcomes: Mapping[Key, Outcome]) -> Dialogue:
    """The dialogue with text and images in the place of its attachments; its notes say what was omitted.

    Raises `InvalidRequest` for an attachment of the newest message that cannot be read. An older one becomes a note: the client
    may be unable to remove it from its history.
    """
    replacing = _Replacing(sight, outcomes, dialogue.newest)
    replaced = substitute(dialogue, replacing.parts)
    return replace(replaced, notes=(*log_notes(replacing.omitted), *replacing.notes, *dialogue.notes))


@dataclass(slots=True)
class _Replacing:
    """Finds what takes the place of each attachment, collects what was omitted, and counts the pages of PDFs."""

    sight: Sight
    outcomes: Mapping[Key, Outcome]
    newest: str
    omitted: list[tuple[Omission, AttachmentKind]] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    pages: int = 0

    def parts(self, attachment: Attachment) -> Sequence[Text | Image]:
        """What takes the place of an attachment. Raises `InvalidRequest`."""
        if obstacle := self.sight.obstacle(attachment):
            if self.sight.strict:
                raise _refused(attachment, attachment.path, obstacle.sentence)
            return self._omit(attachment, obstacle)
        outcome = self._counted(self.outcomes[key_of(attachment, self.sight)])
        newest = attachment.path.startswith(self.newest)
        if outcome.scaled_down and attachment.full_size and newest:
            raise _too_large(attachment)
        if not outcome.unreadable:
            self.notes.update(dict.fromkeys(outcome.notes))
            return outcome.parts
        if self.sight.strict or newest:
            raise _refused(attachment, f"{attachment.path}.{attachment.field}", outcome.unreadable)
        return self._omit(attachment, UNREADABLE)

    def _counted(self, outcome: Outcome) -> Outcome:
        """The outcome, which is unreadable if the PDFs of the request have too many pages with it (IN-5)."""
        if self.pages + outcome.pages > (most := self.sight.limits.pdf_pages):
            return Outcome(unreadable=too_many_pages(most))
        self.pages += outcome.pages
        return outcome

    def _omit(self, attachment: Attachment, omission: Omission) -> Sequence[Text]:
        self.omitted.append((omission, attachment.kind))
        return (note(attachment, omission),)


def key_of(attachment: Attachment, sight: Sight) -> Key:
    """The key of an attachment with data, a URL or a file."""
    match attachment.source:
        case Inline() as inline:
            return f"{attachment.kind.value} {inline.digest}"
        case Url(url=url):
            return f"{attachment.kind.value} {url}"
        case FileId(file_id=file_id):
            return f"{attachment.kind.value} {file_id} of {sight.owner}"
        case _:
            raise AssertionError("parts of an attachment are not read")


def _wanted(attachment: Attachment, sight: Sight) -> Wanted:
    kind, source, limits = attachment.kind, attachment.source, sight.limits
    if isinstance(source, Url):
        return Wanted(kind, url=source.url)
    if isinstance(source, FileId):
        return Wanted(kind, file=(source.file_id, sight.owner or ""))
    assert isinstance(source, Inline)
    try:
        data = _from_base64(source.data)
    except ValueError:
        return Wanted(kind, problem=f"Could not process {kind.value}: its data is not valid base64.")
    if len(data) > limits.attachment_bytes:
        return Wanted(kind, problem=f"{kind.value} exceeds {limits.attachment_bytes:,} bytes (attachment_bytes).")
    return Wanted(kind, data, problem="" if data else f"Could not process {kind.value}: it is empty.")


def _from_base64(text: str) -> bytes:
    """The bytes of base64, which may have line breaks. Raises `ValueError`."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)


def _too_large(attachment: Attachment) -> InvalidRequest:
    """The error for an image that would be scaled down against the client's wish (IN-2, ERR-4)."""
    reason = f"At least one of the image dimensions exceed max allowed size: {LONGEST_SIDE} pixels"
    code: dict[str, object] = {"error_code": "image_dimensions_too_large", "max_side_length_pixels": LONGEST_SIDE}
    return _refused(attachment, f"{attachment.path}.{attachment.field}", reason, {**code, "paths": [attachment.path]})


def _refused(attachment: Attachment, path: str, reason: str, details: dict[str, object] | None = None) -> InvalidRequest:
    """The error with the token on which Claude Code repeats the request without the attachment (CC-8)."""
    return InvalidRequest.at(path, f"{reason} (capability_rejected: {attachment.kind.value}_block)", details=details)
