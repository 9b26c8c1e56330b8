"""Folds the events of a stream into the message of a non-streamed answer (SSE-20)."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

from dragoman.api.anthropic.events import (
    ContentBlockDelta,
    ContentBlockStart,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
)
from dragoman.api.anthropic.message import BlockOut, MessageOut, TextOut, ThinkingOut, ToolUseOut


def fold(events: Iterable[Event]) -> MessageOut:
    """Collect a whole stream into a message. `events` begin with `message_start` and contain no error."""
    blocks: list[_Block] = []
    start: MessageStart | None = None
    end: MessageDelta | None = None
    for event in events:
        match event:
            case MessageStart():
                start = event
            case ContentBlockStart():
                blocks.append(_Block(event.content_block))
            case ContentBlockDelta():
                blocks[event.index].add(event)
            case MessageDelta():
                end = event
            case _:
                pass
    if start is None or end is None:
        raise ValueError("a message needs the beginning and the end of its stream")
    return MessageOut(
        id=start.message.id,
        model=start.message.model,
        content=[block.finish() for block in blocks],
        usage=end.usage,
        stop_reason=end.delta.stop_reason,
        stop_sequence=end.delta.stop_sequence,
    )


class _Block:
    """Collects the deltas of a block."""

    def __init__(self, start: BlockOut) -> None:
        self._start = start
        self._pieces: list[str] = []
        self._signature = ""

    def add(self, event: ContentBlockDelta) -> None:
        match event.delta:
            case TextDelta(text=piece) | ThinkingDelta(thinking=piece) | InputJsonDelta(partial_json=piece):
                self._pieces.append(piece)
            case SignatureDelta(signature=signature):
                self._signature = signature

    def finish(self) -> BlockOut:
        content = "".join(self._pieces)
        match self._start:
            case TextOut():
                return TextOut(content)
            case ThinkingOut():
                return ThinkingOut(content, self._signature)
            case ToolUseOut(id=identifier, name=name):
                return ToolUseOut(identifier, name, _arguments(content))


def _arguments(content: str) -> dict[str, Any]:
    """The object that the SDK accumulates: for a cut call, the part that can be parsed (STOP-3)."""
    if not content:
        return {}
    value: dict[str, Any] = from_json(content, allow_partial=True)
    return value
