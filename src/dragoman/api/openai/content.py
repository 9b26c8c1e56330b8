"""Reads the parts of content: what all OpenAI formats do in the same way."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from dragoman.api.openai.parts import (
    Attached,
    FilePart,
    ImagePart,
    InputFilePart,
    MediaPart,
    OtherPart,
    RefusalPart,
    TextPart,
    ThinkingPart,
)
from dragoman.conversation.call_arguments import UNREAD, called_with
from dragoman.conversation.types import Attachment, Text, ThinkingPolicy

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model should reason."""

UNLIMITED = 1 << 31
"""The `max_tokens` of a request without a limit, in tokens: larger than any context window."""

_WORD = re.compile(r"[\w.-]{1,40}")


def texts(content: str | Sequence[object]) -> Iterator[str]:
    """The texts of the content that are not empty."""
    given = [content] if isinstance(content, str) else [part.text for part in content if isinstance(part, TextPart)]
    return filter(None, given)


def read(content: str | Sequence[TextPart | RefusalPart | ThinkingPart | Attached], path: str) -> Iterator[Text | Attachment]:
    """The texts and attachments of the content, without reasoning."""
    if isinstance(content, str):
        yield from (Text(content),) if content else ()
        return
    for place, part in enumerate(content):
        yield from read_part(part, f"{path}.{place}")


def read_part(part: TextPart | RefusalPart | ThinkingPart | Attached, path: str) -> Iterator[Text | Attachment]:
    """The text or attachment of a part of the content; reasoning is left out."""
    match part:
        case TextPart(text=text) | RefusalPart(refusal=text):
            if text:
                yield Text(text)
        case ThinkingPart():
            pass
        case ImagePart() | FilePart() | InputFilePart():
            yield part.attachment(path)
        case MediaPart() | OtherPart():
            kind = part.kind if _WORD.fullmatch(part.kind) else "part"
            yield Text(f"[{kind} omitted: this model cannot take it]")


def attachments(parts: Iterable[object]) -> int:
    """The number of images and documents."""
    return sum(isinstance(part, ImagePart | FilePart | InputFilePart) for part in parts)


def omitted(parts: Iterable[object]) -> Iterator[str]:
    """Notes about parts that no model gets here."""
    kinds = Counter(part.kind for part in parts if isinstance(part, MediaPart | OtherPart))
    for kind, count in kinds.items():
        yield f"omitted: {count} {kind[:40]} part{'s' * (count > 1)} that the model cannot take"


def unread(arguments: Iterable[Any]) -> Iterator[str]:
    """A note about the arguments of calls that are not a JSON object, if there are any."""
    count = sum(UNREAD in called_with(written) for written in arguments)
    if count:
        yield f"kept as text: the arguments of {count} call{'s' * (count > 1)}, not a JSON object"


def thinking_policy(effort: Effort | None, *, off: bool = False) -> ThinkingPolicy:
    """The thinking policy for an effort. Models reason unless it is `none` or the request turns it `off` otherwise."""
    enabled = effort != "none" and not off
    level = "low" if effort == "minimal" else effort
    return ThinkingPolicy(enabled=enabled, effort=level if enabled else None)
