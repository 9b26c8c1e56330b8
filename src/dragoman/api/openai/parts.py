"""The parts of message content. Types that only some clients send are accepted too: a history must not block a session."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Discriminator, Field, Tag

from dragoman.api.base import WireModel
from dragoman.conversation.types import Attachment, AttachmentKind, FileId, Inline, Url

_DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+)(?:;[\w.=+-]+)*;base64,(?P<data>.*)", re.DOTALL)


class TextPart(WireModel):
    """Text."""

    type: Literal["text", "input_text", "output_text"]
    text: str
    # Of earlier answers; may be ignored.
    annotations: Any = None
    logprobs: Any = None
    prompt_cache_breakpoint: Any = None


class RefusalPart(WireModel):
    """The text of a refusal in an earlier answer."""

    type: Literal["refusal"]
    refusal: str


class ThinkingPart(WireModel):
    """Reasoning of an earlier answer."""

    type: Literal["thinking"]
    thinking: str | list[TextPart]

    @property
    def text(self) -> str:
        """The reasoning as one string."""
        return self.thinking if isinstance(self.thinking, str) else "".join(part.text for part in self.thinking)


class ImageUrl(WireModel):
    """The URL of an image; a `data:` URL contains the image."""

    url: str


class ImagePart(WireModel):
    """An image."""

    type: Literal["image_url", "input_image"]
    image_url: str | ImageUrl | None = None
    file_id: str | None = None
    detail: Any = None
    prompt_cache_breakpoint: Any = None

    def attachment(self, path: str) -> Attachment:
        """The neutral form of this part at `path`."""
        url = self.image_url.url if isinstance(self.image_url, ImageUrl) else self.image_url or ""
        if not url and self.file_id:
            return Attachment(AttachmentKind.IMAGE, FileId(self.file_id), path, "file_id")
        return Attachment(AttachmentKind.IMAGE, _inline(url) or Url(url), path, "image_url")


class FileData(WireModel):
    """A file: its content as a `data:` URL or as base64, a URL, or the id of an uploaded file."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None

    def document(self, path: str, prefix: str) -> Attachment:
        """The neutral form of the file at `path`; its fields have the prefix in errors."""
        title = self.filename or ""
        if self.file_data:
            source = _inline(self.file_data) or Inline(self.file_data, "application/pdf")
            return Attachment(AttachmentKind.DOCUMENT, source, path, f"{prefix}file_data", title=title)
        if self.file_url:
            return Attachment(AttachmentKind.DOCUMENT, Url(self.file_url), path, f"{prefix}file_url", title=title)
        return Attachment(AttachmentKind.DOCUMENT, FileId(self.file_id or ""), path, f"{prefix}file_id", title=title)


class FilePart(WireModel):
    """A document."""

    type: Literal["file"]
    file: FileData

    def attachment(self, path: str) -> Attachment:
        """The neutral form of this part at `path`."""
        return self.file.document(path, "file.")


class InputFilePart(FileData):
    """A document in the Responses API, which may also be at a URL."""

    type: Literal["input_file"]
    detail: Any = None
    prompt_cache_breakpoint: Any = None

    def attachment(self, path: str) -> Attachment:
        """The neutral form of this part at `path`."""
        return self.document(path, "")


def _inline(url: str) -> Inline | None:
    """The data of a `data:` URL; None for any other text."""
    written = _DATA_URL.fullmatch(url)
    return Inline(written["data"], written["media_type"]) if written else None


class MediaPart(WireModel):
    """Audio or video, which this server does not support."""

    open: ClassVar = True

    type: Literal["input_audio", "audio_url", "input_video", "video_url"]

    @property
    def kind(self) -> str:
        """The kind of the part, for notes."""
        return "audio" if "audio" in self.type else "video"


class OtherPart(WireModel):
    """A part of any other type in the result of a call."""

    open: ClassVar = True

    type: str

    @property
    def kind(self) -> str:
        """The kind of the part, for notes."""
        return self.type


Attached = ImagePart | FilePart | InputFilePart | MediaPart | OtherPart
"""A part that is not text."""

P = TypeVar("P")


def parts_of(content: str | Sequence[P] | None) -> Sequence[P]:
    """The parts of the content; none if it is a plain string."""
    return () if content is None or isinstance(content, str) else content


UserPart = Annotated[TextPart | ImagePart | FilePart | MediaPart, Field(discriminator="type")]
AnswerPart = Annotated[
    TextPart | RefusalPart | ThinkingPart | ImagePart | FilePart | MediaPart,
    Field(discriminator="type"),
]

_KNOWN = frozenset(
    {"text", "input_text", "output_text", "refusal", "image_url", "input_image", "file", "input_file"}
    | {"input_audio", "audio_url", "input_video", "video_url"}
)


def _result_part(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return None
    return "(known)" if kind in _KNOWN else "(other)"


ResultPart = Annotated[
    Annotated[
        TextPart | RefusalPart | ImagePart | FilePart | InputFilePart | MediaPart,
        Field(discriminator="type"),
        Tag("(known)"),
    ]
    | Annotated[OtherPart, Tag("(other)")],
    Discriminator(_result_part, custom_error_type="part", custom_error_message="Input should be an object with a type"),
]
