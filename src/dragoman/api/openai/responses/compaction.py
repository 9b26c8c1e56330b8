"""Compactions: a conversation as its newest messages and a sealed summary of it, which are the input of the next request.

The summary is signed like reasoning. A compaction that is damaged, or of another server, is refused by `rules`: without it the
conversation would be lost.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from dragoman.api.format import ApiFormat
from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.responses import events
from dragoman.api.openai.responses.items import Compaction, Message
from dragoman.api.openai.responses.response import Usage
from dragoman.api.openai.responses.stored import stored_items
from dragoman.api.sealed import sealed, unsealed
from dragoman.errors import DragomanError, EngineFailed
from dragoman.parts import Compacted, Ending, Part, PromptTokens, TokenCounts

_MOST_KEPT: Final = 80_000
"""Bytes of messages of the user that stay beside the summary."""


class CompactionItem(Struct, frozen=True, tag="compaction"):
    """A summary of the conversation."""

    id: str
    encrypted_content: str


class CompactedResponse(Struct, frozen=True, tag_field="object", tag="response.compaction"):
    """The answer: its output is the input of the next request."""

    id: str
    created_at: int
    output: Sequence[Raw | CompactionItem]
    usage: Usage


class _KeptSummary(Struct, frozen=True):
    summary: str


def summary_of(item: Compaction) -> str | None:
    """The summary in an item of this server; None if it is damaged, or of another server."""
    kept = unsealed(item.encrypted_content, _KeptSummary)
    return None if kept is None else kept.summary


def kept_messages(items: Sequence[Any]) -> Sequence[Raw]:
    """The messages that stay: those of the application, and the newest ones of the user, at least one."""
    messages = [item for item in items if isinstance(item, Message) and item.role != "assistant"]
    room, kept = _MOST_KEPT, []
    for message, stored in reversed(list(zip(messages, stored_items(messages), strict=True))):
        is_newest = room == _MOST_KEPT
        if not message.is_system:
            room -= len(stored.item)
        if message.is_system or is_newest or room >= 0:
            kept.append(Raw(stored.item))
    return kept[::-1]


class CompactionEncoder:
    """Encodes one compaction as its whole answer, at the `Ending`. `kept` are the messages that stay."""

    def __init__(self, kept: Sequence[Raw], now: Callable[[], int]) -> None:
        self._kept = kept
        self._now = now
        self._summary: str | None = None

    def start(self, _: TokenCounts, prompt: PromptTokens | None = None) -> Sequence[CompactedResponse]:
        """Nothing."""
        return ()

    def encode(self, part: Part) -> Sequence[CompactedResponse]:
        """The answer, if this part is the last. Raises `EngineFailed` if there is no summary."""
        match part:
            case Compacted(summary):
                self._summary = summary
            case Ending(_, counts):
                return [self._answer(Usage.of(counts))]
        return ()

    def _answer(self, usage: Usage) -> CompactedResponse:
        if self._summary is None:
            raise EngineFailed("the model wrote no summary of the conversation")
        item = CompactionItem(f"cmp_{secrets.token_hex(12)}", sealed(_KeptSummary(self._summary)))
        return CompactedResponse(f"resp_{secrets.token_hex(12)}", self._now(), [*self._kept, item], usage)

    def ping(self) -> Sequence[CompactedResponse]:
        """Nothing: a compaction is not streamed."""
        return ()

    def fail(self, error: DragomanError, _: str) -> Sequence[CompactedResponse]:
        """Nothing: a failure is a status."""
        return ()


def _fold(answers: Iterable[CompactedResponse]) -> CompactedResponse:
    (answer,) = answers
    return answer


def _frame(answer: CompactedResponse) -> bytes:
    return events.framed(str(answer.__struct_config__.tag), msgspec.json.encode(answer))


COMPACTIONS: Final[ApiFormat[CompactedResponse]] = ApiFormat(_frame, _fold, ErrorBody.of, events.error_frame, b": ping\n\n")
