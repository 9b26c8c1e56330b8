"""Encodes parts as chunks.

This API has no blocks to open and close: each chunk names what it adds, and to which choice. The order of parts is not checked
here, but in the encoder of the Messages API.
"""

from collections.abc import Callable
from typing import Generic, TypeVar, assert_never

from msgspec import UNSET, UnsetType

from dragoman.api.openai.completions import (
    FINISHES,
    CallOut,
    ChatChunk,
    ChunkChoice,
    Comment,
    Completion,
    Delta,
    FunctionOut,
    TextChoice,
    Usage,
)
from dragoman.api.openai.errors import ErrorBody
from dragoman.errors import DragomanError
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
    summed,
)

C = TypeVar("C")


class Answer(Generic[C]):
    """What the choices of one answer share. Its token counts are sent, if the client requested that, when all have ended.

    `chunk_of` makes a chunk of its choices and the usage. There are `choices`, and each group of `per_prompt` has one prompt.
    """

    def __init__(self, chunk_of: Callable[..., C], *, usage: bool, choices: int = 1, per_prompt: int = 1) -> None:
        self._chunk_of = chunk_of
        self._usage: UnsetType | None = None if usage else UNSET
        self._per_prompt = per_prompt
        self._counts = [TokenCounts(0)] * choices
        self._open = choices

    def chunk(self, choice: ChunkChoice | TextChoice) -> C:
        """A chunk of one choice."""
        return self._chunk_of((choice,), self._usage)

    def end(self, index: int, counts: TokenCounts) -> list[C]:
        """The chunk with the counts, after the last choice."""
        self._counts[index] = counts
        self._open -= 1
        if self._open or self._usage is UNSET:
            return []
        return [self._chunk_of((), Usage.of(summed(self._counts, self._per_prompt)))]


class _StreamEncoder:
    """What both encoders do with a silent and with a failed stream."""

    def ping(self) -> list[Comment]:
        """A comment: this API has no event for it."""
        return [Comment("ping")]

    def fail(self, error: DragomanError, request_id: str) -> list[ErrorBody]:
        """The error as the last event."""
        return [ErrorBody.of(error, request_id)]


class ChatEncoder(_StreamEncoder):
    """Encodes one choice: `start` first, then each part in order; the `Ending` is the last.

    `older`: the request has `functions`, and the call of the answer is its `function_call`.
    """

    def __init__(self, answer: Answer[ChatChunk], index: int = 0, *, older: bool = False) -> None:
        self._answer = answer
        self._index = index
        self._older = older
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
                return [self._chunk(Delta(), self._finish(reason)), *self._answer.end(self._index, counts)]
            case _:
                assert_never(part)

    def _finish(self, reason: StopReason) -> str:
        return "function_call" if self._older and reason is StopReason.TOOL_USE else FINISHES[reason]

    def _call(self, call: CallOut) -> ChatChunk:
        return self._chunk(Delta(function_call=call.function) if self._older else Delta(tool_calls=(call,)))

    def _chunk(self, delta: Delta, finish: str | None = None) -> ChatChunk:
        return self._answer.chunk(ChunkChoice(delta, self._index, finish_reason=finish))


class CompletionEncoder(_StreamEncoder):
    """Encodes one choice of a completion, which is text only; it begins with `echo`."""

    def __init__(self, answer: Answer[Completion], index: int = 0, echo: str = "") -> None:
        self._answer = answer
        self._index = index
        self._echo = echo

    def start(self, _: TokenCounts) -> list[Completion]:
        """The chunk with the prompt, if it is wanted; otherwise the first chunk comes with the first text."""
        return [self._answer.chunk(TextChoice(self._echo, index=self._index))] if self._echo else []

    def encode(self, part: Part) -> list[Completion]:
        """The chunks of this part."""
        match part:
            case Text(text):
                return [self._answer.chunk(TextChoice(text, index=self._index))]
            case Ending(reason, counts):
                last = TextChoice(finish_reason=FINISHES[reason], index=self._index)
                return [self._answer.chunk(last), *self._answer.end(self._index, counts)]
            case _:
                return []
