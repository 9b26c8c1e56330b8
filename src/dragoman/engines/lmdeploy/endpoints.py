"""LMDeploy's endpoints for token ids: their request bodies and the readers of their replies.

    POST /v1/chat/completions    no messages and `input_ids`: supports a seed, output formats, variants, cached-token counts
    POST /generate               supports none of these, and has no output parser

What they share: unset fields get the server's own defaults (top-k 50 among them), so all of them are sent; a chunk holds only
new text; the token that ends the generation is in no chunk, but in the counts; an error is flat, `{"message": …}`, both as a
body and in an `{"error": …}` event; `data: [DONE]` comes last.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.engines.base import EngineRequest, Finish, FinishReason, OutputChunk
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.http import EngineFault
from dragoman.engines.reply import ReplyDecoder
from dragoman.engines.sampling import ResolvedSampling
from dragoman.engines.sse import DataEvents
from dragoman.errors import EngineFailed

_FINISHES: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class LMDeployEndpoint(ABC):
    """An endpoint for token ids."""

    path: str

    @abstractmethod
    def body(self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm) -> bytes:
        """The request body, with every field set."""

    @abstractmethod
    def reader(self, *, silent: bool = False) -> "AnswerReader":
        """A reader of one reply. `silent` is for a request with a limit of 0: the token that is generated anyway is dropped."""


class AnswerReader(ABC):
    """Reads the stream of a reply: bytes in, output chunks out, however the bytes are split. Sans-IO.

    The counts are complete only at the end, so the last chunk carries the difference.
    """

    __slots__ = ("_cached", "_events", "_output", "_reason", "_silent", "_total", "finished")

    def __init__(self, *, silent: bool = False) -> None:
        self.finished = False
        self._events = DataEvents()
        self._silent = silent
        self._output = 0
        self._total = 0
        self._cached: int | None = None
        self._reason: FinishReason | None = None

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The chunks that `data` completes. Raises `EngineFailed` at an event that reports a failure or is malformed."""
        for payload in self._events.feed(data):
            yield from self._read(payload)
        if self._events.done and not self.finished:
            yield self._end()

    @abstractmethod
    def _read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""

    def _new(self, text: str, tokens: Sequence[int] | None) -> Iterator[OutputChunk]:
        output = len(tokens or ())
        self._output += output
        if (text or output) and not self._silent:
            yield OutputChunk(text, output)

    def _ends(self, reason: str | None) -> None:
        if reason is not None:
            self._reason = _FINISHES.get(reason)
            if self._reason is None:
                raise EngineFailed(f"the engine aborted the request: {reason}")

    def _end(self) -> OutputChunk:
        if self._reason is None:
            raise EngineFailed("the engine ended its reply without a finish reason")
        self.finished = True
        if self._silent:
            return OutputChunk(finish=Finish(FinishReason.LENGTH, self._cached))
        return OutputChunk("", max(0, self._total - self._output), finish=Finish(self._reason, self._cached))


class ChatEndpoint(LMDeployEndpoint):
    """The chat endpoint. The server's output parser, if it has one, must pass text through."""

    path = "/v1/chat/completions"

    def body(self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm) -> bytes:
        """The body of a chat completion without messages."""
        return msgspec.json.encode(
            _ChatCompletion(
                model=request.routing.adapter or model,
                input_ids=request.tokens,
                max_completion_tokens=max(request.limit, 1),
                temperature=chosen.temperature,
                top_p=chosen.top_p,
                top_k=chosen.top_k,
                min_p=chosen.min_p,
                repetition_penalty=chosen.repetition_penalty,
                seed=UNSET if request.sampling.seed is None else request.sampling.seed,
                response_format=form,
            )
        )

    def reader(self, *, silent: bool = False) -> "ChatReader":
        """A reader of one reply."""
        return ChatReader(silent=silent)


class ChatReader(AnswerReader):
    """Reads chat chunks; the counts come once, in a chunk without choices, after the one with the finish reason."""

    __slots__ = ()

    def _read(self, payload: bytes) -> Iterator[OutputChunk]:
        chunk = _chat_chunk(payload)
        _check(chunk.error)
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            self._total, self._cached = chunk.usage.completion_tokens, details.cached_tokens if details else None
        for choice in chunk.choices:
            if choice.delta.reasoning_content or choice.delta.tool_calls:
                raise EngineFailed("the engine parses the model's output: start it without its parsers")
            self._ends(choice.finish_reason)
            yield from self._new(choice.delta.content or "", choice.output_ids)


class GenerateEndpoint(LMDeployEndpoint):
    """The endpoint without an output parser."""

    path = "/generate"

    def body(self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm) -> bytes:
        """The request body; this endpoint has no fields for the model's name, a seed or a format."""
        return msgspec.json.encode(
            _Generate(
                input_ids=request.tokens,
                max_tokens=max(request.limit, 1),
                temperature=chosen.temperature,
                top_p=chosen.top_p,
                top_k=chosen.top_k,
                min_p=chosen.min_p,
                repetition_penalty=chosen.repetition_penalty,
            )
        )

    def reader(self, *, silent: bool = False) -> "GenerateReader":
        """A reader of one reply."""
        return GenerateReader(silent=silent)


class GenerateReader(AnswerReader):
    """Reads `/generate` chunks: each has the token count so far; cached tokens are not reported."""

    __slots__ = ()

    def _read(self, payload: bytes) -> Iterator[OutputChunk]:
        chunk = _generate_chunk(payload)
        _check(chunk.error)
        meta = chunk.meta_info
        self._total = meta.completion_tokens or self._total
        self._ends(meta.finish_reason.type if meta.finish_reason else None)
        yield from self._new(chunk.text, chunk.output_ids)


def _check(error: EngineFault | None) -> None:
    if error is not None:
        raise EngineFailed(f"the engine failed: {error.message}")


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = True


class _Asked(Struct, kw_only=True):
    """`spaces_between_special_tokens` would add a space between two special tokens that the model did not generate."""

    input_ids: Sequence[int]
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    stream: bool = True
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class _ChatCompletion(_Asked, kw_only=True):
    model: str
    max_completion_tokens: int
    seed: int | UnsetType = UNSET
    response_format: ConstraintForm = UNSET
    messages: tuple[()] = ()
    stream_options: _StreamOptions = _StreamOptions()
    return_token_ids: bool = True


class _Generate(_Asked, kw_only=True):
    max_tokens: int


class _Delta(Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(Struct, gc=False):
    delta: _Delta = _Delta()
    finish_reason: str | None = None
    output_ids: list[int] | None = None


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(Struct, gc=False):
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _ChatChunk(Struct, gc=False):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: EngineFault | None = None


class _Finish(Struct, gc=False):
    type: str


class _Meta(Struct, frozen=True, gc=False):
    completion_tokens: int | None = None
    finish_reason: _Finish | None = None


class _GenerateChunk(Struct, gc=False):
    text: str = ""
    output_ids: list[int] = []
    meta_info: _Meta = _Meta()
    error: EngineFault | None = None


_chat_chunk = ReplyDecoder(_ChatChunk)
_generate_chunk = ReplyDecoder(_GenerateChunk)
