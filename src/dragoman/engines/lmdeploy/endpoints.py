"""LMDeploy's endpoints for token ids: their request bodies and the readers of their replies.

    POST /v1/chat/completions    no messages and `input_ids`: supports a seed, output formats, variants, cached-token counts
    POST /generate               supports none of these, and has no output parser

What they share: unset fields get the server's own defaults (top-k 50 among them), so all of them are sent; a chunk holds only
new text; the token that ends the generation is in no chunk and not in the counts; an error is flat, `{"message": …}`, both as a
body and in an `{"error": …}` event; `data: [DONE]` comes last.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.engines.base import EngineRequest, Finish, FinishReason, OutputChunk
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.reply import Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader
from dragoman.engines.sampling import ResolvedSampling
from dragoman.errors import EngineFailed


class LMDeployEndpoint(ABC):
    """An endpoint for token ids."""

    path: str

    @abstractmethod
    def body(self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm) -> bytes:
        """The request body, with every field set."""

    @abstractmethod
    def reader(self, *, silent: bool = False) -> "AnswerReader":
        """A reader of one reply. `silent` is for a request with a limit of 0: the token that is generated anyway is dropped."""


class AnswerReader(ReplyReader):
    """Reads the stream of a reply. The last chunk carries the tokens that no chunk had; one, at least, ended the generation."""

    __slots__ = ("_cached", "_reason", "_total")

    other_finish = "aborted the request"

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(silent=silent)
        self._total = 0
        self._cached: int | None = None
        self._reason: FinishReason | None = None

    def end(self) -> OutputChunk:
        """The last chunk, at `data: [DONE]`."""
        if self._reason is None:
            return super().end()
        ending = int(self._reason is FinishReason.STOP)
        return OutputChunk("", max(ending, self._total - self._output), finish=Finish(self._reason, self._cached))

    def _new(self, text: str, tokens: Sequence[int] | None, reason: str | None) -> Iterator[OutputChunk]:
        """The chunk of an event, if it has text; `reason` is on the event with the last text."""
        if reason is not None:
            self._reason = self.finish_reason(reason)
        output = len(tokens or ())
        self._output += output
        if text or output:
            yield OutputChunk(text, output)


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

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = _chat_chunk(payload)
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            self._total, self._cached = chunk.usage.completion_tokens, details.cached_tokens if details else None
        for choice in chunk.choices:
            if choice.delta.reasoning_content or choice.delta.tool_calls:
                raise EngineFailed("the engine parses the model's output: start it without its parsers")
            yield from self._new(choice.delta.content or "", choice.output_ids, choice.finish_reason)


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

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = _generate_chunk(payload)
        meta = chunk.meta_info
        self._total = meta.completion_tokens or self._total
        yield from self._new(chunk.text, chunk.output_ids, meta.finish_reason.type if meta.finish_reason else None)


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


class _ChatChunk(Event, gc=False):
    choices: Sequence[_Choice] = ()
    usage: _Usage | None = None


class _Finish(Struct, gc=False):
    type: str


class _Meta(Struct, frozen=True, gc=False):
    completion_tokens: int | None = None
    finish_reason: _Finish | None = None


class _GenerateChunk(Event, gc=False):
    text: str = ""
    output_ids: Sequence[int] = ()
    meta_info: _Meta = _Meta()


_chat_chunk = EventDecoder(_ChatChunk)
_generate_chunk = EventDecoder(_GenerateChunk)
