"""Encodes parts as chunks, and folds chunks into a whole answer.

This API has no blocks to open and close: each chunk names what it adds. The order of parts is not checked here, but in the
encoder of the Messages API.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar, assert_never

from msgspec import UNSET, UnsetType

from dragoman.api.openai.completions import (
    FINISHES,
    CallOut,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatEvent,
    ChatMessageOut,
    ChunkChoice,
    Comment,
    Completion,
    CompletionEvent,
    Delta,
    FunctionOut,
    TextChoice,
    Usage,
)
from dragoman.api.openai.errors import ErrorBody
from dragoman.errors import DragomanError
from dragoman.parts import CallDelta, CallEnd, CallStart, Ending, Part, Prefill, Text, Thinking, ThinkingEnd, TokenCounts


class _StreamEncoder:
    """What both encoders do with a silent and with a failed stream."""

    def ping(self) -> list[Comment]:
        """A comment: this API has no event for it."""
        return [Comment("ping")]

    def fail(self, error: DragomanError, request_id: str) -> list[ErrorBody]:
        """The error as the last event."""
        return [ErrorBody.of(error, request_id)]


class ChatEncoder(_StreamEncoder):
    """Encodes one answer: `start` first, then each part in order; the `Ending` is the last.

    `created` is in seconds since the epoch; `usage` is whether the client requested a chunk with the counts.
    """

    def __init__(self, completion_id: str, created: int, model: str, *, usage: bool) -> None:
        self._head = (completion_id, created, model)
        self._usage: UnsetType | None = None if usage else UNSET
        self._calls = -1

    def start(self, _: TokenCounts) -> list[ChatChunk]:
        """The chunk with the role."""
        return [self._chunk(Delta(role="assistant", content=""))]

    def encode(self, part: Part) -> list[ChatChunk]:
        """The chunks of this part."""
        match part:
            case Text(text):
                return [self._chunk(Delta(content=text))]
            case Thinking(text):
                return [self._chunk(Delta(reasoning_content=text))]
            case CallStart(name, identifier):
                self._calls += 1
                return [self._call(CallOut(FunctionOut(name), self._calls, identifier, "function"))]
            case CallDelta(json):
                return [self._call(CallOut(FunctionOut(arguments=json), self._calls))]
            case Prefill() | ThinkingEnd() | CallEnd():  # no signatures here; a call ends where the next one begins
                return []
            case Ending(reason, counts):
                last = [self._chunk(Delta(), FINISHES[reason])]
                return last if self._usage is UNSET else [*last, ChatChunk(*self._head, (), Usage.of(counts))]
            case _:
                assert_never(part)

    def _call(self, call: CallOut) -> ChatChunk:
        return self._chunk(Delta(tool_calls=(call,)))

    def _chunk(self, delta: Delta, finish: str | None = None) -> ChatChunk:
        return ChatChunk(*self._head, (ChunkChoice(delta, finish_reason=finish),), self._usage)


def fold_chat(chunks: Iterable[ChatEvent]) -> ChatCompletion:
    """Collect a whole stream, which includes its usage."""
    content: list[str] = []
    reasoning: list[str] = []
    calls: list[tuple[CallOut, list[str]]] = []
    finish, last = "", None
    for last in _chunks(chunks, ChatChunk):
        for choice in last.choices:
            delta = choice.delta
            content += [delta.content] if delta.content else []
            reasoning += [delta.reasoning_content] if delta.reasoning_content else []
            for call in delta.tool_calls or ():
                if call.id is not UNSET:
                    calls.append((call, []))
                calls[-1][1].append(call.function.arguments)
            finish = choice.finish_reason or finish
    if last is None or not isinstance(last.usage, Usage):
        raise ValueError("an answer needs a stream that ends with its usage")
    message = ChatMessageOut(
        "".join(content) or (None if calls else ""),
        reasoning_content="".join(reasoning) or UNSET,
        tool_calls=[
            CallOut(FunctionOut(call.function.name, "".join(pieces)), id=call.id, type=call.type) for call, pieces in calls
        ]
        or UNSET,
    )
    return ChatCompletion(last.id, last.created, last.model, (ChatChoice(message, finish),), last.usage)


class CompletionEncoder(_StreamEncoder):
    """Encodes a completion, which is text only, with the arguments of `ChatEncoder`."""

    def __init__(self, completion_id: str, created: int, model: str, *, usage: bool) -> None:
        self._head = (completion_id, created, model)
        self._usage: UnsetType | None = None if usage else UNSET

    def start(self, _: TokenCounts) -> list[Completion]:
        """No chunks: the first one comes with the first text."""
        return []

    def encode(self, part: Part) -> list[Completion]:
        """The chunks of this part."""
        match part:
            case Text(text):
                return [Completion(*self._head, (TextChoice(text),), self._usage)]
            case Ending(reason, counts):
                last = [Completion(*self._head, (TextChoice(finish_reason=FINISHES[reason]),), self._usage)]
                return last if self._usage is UNSET else [*last, Completion(*self._head, (), Usage.of(counts))]
            case _:
                return []


def fold_completion(chunks: Iterable[CompletionEvent]) -> Completion:
    """Collect a whole stream, which includes its usage."""
    texts: list[str] = []
    finish, last = None, None
    for last in _chunks(chunks, Completion):
        for choice in last.choices:
            texts.append(choice.text)
            finish = choice.finish_reason or finish
    if last is None or not isinstance(last.usage, Usage):
        raise ValueError("an answer needs a stream that ends with its usage")
    return Completion(last.id, last.created, last.model, (TextChoice("".join(texts), finish),), last.usage)


C = TypeVar("C", ChatChunk, Completion)


def _chunks(stream: Iterable[object], kind: type[C]) -> Iterator[C]:
    return (event for event in stream if isinstance(event, kind))
