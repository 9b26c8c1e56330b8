"""Folds the events of a stream into the message of a non-streamed answer (SSE-20)."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from pydantic_core import from_json

from dragoman.api.anthropic.citations import CitationOut
from dragoman.api.anthropic.events import (
    CitationsDelta,
    CompactionDelta,
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
from dragoman.api.anthropic.message import BlockOut, CompactionOut, MessageOut, TextOut, ThinkingOut, TokenLogprob, ToolUseOut
from dragoman.api.anthropic.server_blocks import McpToolUseOut, ServerToolUseOut


def fold(events: Iterable[Event]) -> MessageOut:
    """Collect a whole stream into a message. `events` begin with `message_start` and contain no error."""
    blocks: list[_Block] = []
    start: MessageStart | None = None
    end: MessageDelta | None = None
    tokens = _Tokens()
    for event in events:
        match event:
            case MessageStart():
                start = event
            case ContentBlockStart():
                blocks.append(_Block(event.content_block))
            case ContentBlockDelta():
                blocks[event.index].add(event)
                tokens.add(event)
            case MessageDelta():
                end = event
                tokens.add(event)
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
        diagnostics=start.message.diagnostics,
        context_management=end.context_management,
        input_ids=start.message.input_ids,
        output_ids=tokens.ids,
        output_token_logprobs=tokens.logprobs,
    )


class _Tokens:
    """Collects the tokens of events; UNSET while there are none."""

    def __init__(self) -> None:
        self.ids: list[int] | UnsetType = UNSET
        self.logprobs: list[TokenLogprob] | UnsetType = UNSET

    def add(self, event: ContentBlockDelta | MessageDelta) -> None:
        if event.output_ids is not UNSET:
            self.ids = [] if self.ids is UNSET else self.ids
            self.ids += event.output_ids
        if event.output_token_logprobs is not UNSET:
            self.logprobs = [] if self.logprobs is UNSET else self.logprobs
            self.logprobs += event.output_token_logprobs


class _Block:
    """Collects the deltas of a block."""

    def __init__(self, start: BlockOut) -> None:
        self._start = start
        self._pieces: list[str] = []
        self._citations: list[CitationOut] = []
        self._signature = ""
        self._tokens = _Tokens()

    def add(self, event: ContentBlockDelta) -> None:
        self._tokens.add(event)
        match event.delta:
            case TextDelta(text=piece) | ThinkingDelta(thinking=piece) | InputJsonDelta(partial_json=piece):
                self._pieces.append(piece)
            case SignatureDelta(signature=signature):
                self._signature = signature
            case CompactionDelta():
                assert isinstance(self._start, CompactionOut)
                self._start = replace(self._start, content=event.delta.content)
            case CitationsDelta(citation=citation):
                self._citations.append(citation)

    def finish(self) -> BlockOut:
        content = "".join(self._pieces)
        ids, logprobs = self._tokens.ids, self._tokens.logprobs
        match self._start:
            case TextOut():
                return TextOut(content, self._citations or None, output_ids=ids, output_token_logprobs=logprobs)
            case ThinkingOut():
                return ThinkingOut(content, self._signature, ids, logprobs)
            case ToolUseOut():
                return replace(self._start, input=_arguments(content), output_ids=ids, output_token_logprobs=logprobs)
            case ServerToolUseOut() | McpToolUseOut():
                return replace(self._start, input=_arguments(content))
            case _:
                return self._start  # a result is whole from the start


def _arguments(content: str) -> dict[str, Any]:
    """The object that the SDK accumulates: for a cut call, the part that can be parsed (STOP-3)."""
    if not content:
        return {}
    value: dict[str, Any] = from_json(content, allow_partial=True)
    return value
