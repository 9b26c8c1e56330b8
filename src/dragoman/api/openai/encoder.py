"""Encodes parts as chunks.

This API has no blocks to open and close: each chunk names what it adds, and to which choice. The order of parts is not checked
here, but in the encoder of the Messages API.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar, assert_never

from msgspec import UNSET, UnsetType

from dragoman.api.openai.completions import (
    FINISHES,
    CallOut,
    ChatChunk,
    ChunkChoice,
    Comment,
    Completion,
    CustomOut,
    Delta,
    FunctionOut,
    TextChoice,
    Usage,
)
from dragoman.api.openai.custom_input import InputReader
from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.logprobs import ChatLogprobs, TextLogprobs, text_logprobs, token_logprobs
from dragoman.api.pending_tokens import PendingTokens
from dragoman.conversation import TokenReport
from dragoman.errors import DragomanError
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Cited,
    Compacted,
    Ending,
    LogProb,
    Part,
    Prefill,
    PromptTokens,
    ServerCallStart,
    ServerResult,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
    Tokens,
    summed,
)

C = TypeVar("C")
_NO_REPORT = TokenReport()


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

    def chunk(self, choice: ChunkChoice | TextChoice, **fields: object) -> C:
        """A chunk of one choice."""
        return self._chunk_of((choice,), self._usage, **fields)

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

    `older`: the request has `functions`, and the call of the answer is its `function_call`. `custom` are the names of custom
    tools. Tokens go with the next chunk.
    """

    def __init__(
        self,
        answer: Answer[ChatChunk],
        index: int = 0,
        *,
        older: bool = False,
        custom: Collection[str] = (),
        report: TokenReport = _NO_REPORT,
    ) -> None:
        self._answer = answer
        self._index = index
        self._older = older
        self._custom = custom
        self._calls = -1
        self._input: InputReader | None = None  # of the open call, if it is one of a custom tool
        self._tokens = PendingTokens(report)

    def start(self, _: TokenCounts, prompt: PromptTokens | None = None) -> list[ChatChunk]:
        """The chunk with the role."""
        choice = ChunkChoice(Delta(role="assistant", content=""), self._index)
        ids = {} if prompt is None else {"prompt_token_ids": prompt.ids}
        return [self._answer.chunk(choice, **ids)]

    def encode(self, part: Part) -> list[ChatChunk]:
        """The chunks of this part."""
        match part:
            case Text(text) | Cited(text):
                return [self._chunk(Delta(content=text))]
            case Thinking(text):
                return [self._chunk(Delta(reasoning_content=text))]
            case CallStart(name, identifier):
                return [self._begin_call(name, identifier)]
            case CallDelta(json):
                return self._add_input(self._input.feed(json)) if self._input else [self._arguments(json)]
            case CallEnd():  # a call ends where the next one begins
                return self._add_input(self._input.finish()) if self._input else []
            case Tokens():
                self._tokens.add(part)
                return []
            case Prefill() | ThinkingEnd():  # no signatures here
                return []
            case Ending(reason, counts):
                return [self._chunk(Delta(), self._finish(reason)), *self._answer.end(self._index, counts)]
            case ServerCallStart() | ServerResult() | Compacted():
                raise TypeError("a chat completion has no tools of the server")
            case _:
                assert_never(part)

    def _finish(self, reason: StopReason) -> str:
        return "function_call" if self._older and reason is StopReason.TOOL_USE else FINISHES[reason]

    def _begin_call(self, name: str, identifier: str) -> ChatChunk:
        self._calls += 1
        if name in self._custom:
            self._input = InputReader()
            return self._call(CallOut(self._calls, identifier, "custom", custom=CustomOut(name)))
        self._input = None
        return self._call(CallOut(self._calls, identifier, "function", FunctionOut(name)))

    def _arguments(self, json: str) -> ChatChunk:
        return self._call(CallOut(self._calls, function=FunctionOut(arguments=json)))

    def _add_input(self, text: str) -> list[ChatChunk]:
        return [self._call(CallOut(self._calls, custom=CustomOut(input=text)))] if text else []

    def _call(self, call: CallOut) -> ChatChunk:
        return self._chunk(Delta(function_call=call.function) if self._older else Delta(tool_calls=(call,)))

    def _chunk(self, delta: Delta, finish: str | None = None) -> ChatChunk:
        if not self._tokens.ids:
            return self._answer.chunk(ChunkChoice(delta, self._index, finish_reason=finish))
        report = self._tokens.report
        ids, found = self._tokens.take()
        logprobs = ChatLogprobs(token_logprobs(found)) if report.top is not None else None
        return self._answer.chunk(ChunkChoice(delta, self._index, logprobs, finish, ids if report.ids else UNSET))


class CompletionEncoder(_StreamEncoder):
    """Encodes one choice of a completion, which is text only. Tokens go with the next chunk."""

    def __init__(self, answer: Answer[Completion], index: int = 0, report: TokenReport = _NO_REPORT) -> None:
        self._answer = answer
        self._index = index
        self._tokens = PendingTokens(report)
        self._length = 0  # of the tokens so far, in characters

    def start(self, _: TokenCounts, prompt: PromptTokens | None = None) -> list[Completion]:
        """The chunk with the prompt, if it is wanted; otherwise the first chunk comes with the first text."""
        if prompt is None:
            return []
        self._length = len(prompt.text)
        ids = prompt.ids if self._tokens.report.ids else UNSET
        logprobs = text_logprobs(prompt.logprobs, 0) if prompt.logprobs else None
        return [self._answer.chunk(TextChoice(prompt.text, index=self._index, logprobs=logprobs, prompt_token_ids=ids))]

    def encode(self, part: Part) -> list[Completion]:
        """The chunks of this part."""
        match part:
            case Text(text) | Cited(text):
                return [self._chunk(text)]
            case Tokens():
                self._tokens.add(part)
                return []
            case Ending(reason, counts):
                return [self._chunk("", FINISHES[reason]), *self._answer.end(self._index, counts)]
            case _:
                return []

    def _chunk(self, text: str, finish: str | None = None) -> Completion:
        if not self._tokens.ids:
            return self._answer.chunk(TextChoice(text, finish, self._index))
        report = self._tokens.report
        ids, found = self._tokens.take()
        logprobs = self._logprobs(found) if report.top is not None else None
        return self._answer.chunk(TextChoice(text, finish, self._index, logprobs, ids if report.ids else UNSET))

    def _logprobs(self, found: Sequence[LogProb]) -> TextLogprobs:
        logprobs = text_logprobs(found, self._length)
        self._length += sum(len(each.text) for each in found)
        return logprobs
