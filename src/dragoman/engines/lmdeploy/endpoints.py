"""LMDeploy's endpoints for token ids: their request bodies and the readers of their replies.

    POST /v1/chat/completions    no messages and `input_ids`: supports a seed, output formats, variants, cached-token counts
    POST /generate               supports none of these, and has no output parser

What they share: unset fields get the server's own defaults (top-k 50 among them), so all of them are sent; a chunk holds only
new text and its token ids, and log-probabilities if the server runs with `--logprobs-mode`; the token that ends the generation
is in no chunk and not in the counts; images are URLs, with one token at the place of each; an error is flat, `{"message": …}`,
both as a body and in an `{"error": …}` event; `data: [DONE]` comes last.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.engines.base import EngineRequest, Finish, FinishReason, OutputChunk
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.likely_tokens import BytesOf, log_prob
from dragoman.engines.openai_usage import Usage
from dragoman.engines.reply import Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader
from dragoman.engines.sampling import ResolvedSampling
from dragoman.errors import EngineFailed
from dragoman.parts import LogProb


class LMDeployEndpoint(ABC):
    """An endpoint for token ids."""

    path: str

    @abstractmethod
    def body(
        self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm, images: Sequence[str] = ()
    ) -> bytes:
        """The request body, with every field set. `images` are the URLs of those in the prompt."""

    @abstractmethod
    def reader(self, bytes_of: BytesOf, *, silent: bool = False, top: int = 0) -> "AnswerReader":
        """A reader of one reply. `silent` is for a request with a limit of 0: the token that is generated anyway is dropped.

        `bytes_of` and `top` are as in `log_prob`.
        """


class AnswerReader(ReplyReader):
    """Reads the stream of a reply. The last chunk carries the tokens that no chunk had; one, at least, ended the generation.

    `prompt` is the prompt's length in tokens, once the reply has reported it.
    """

    __slots__ = ("_bytes_of", "_cached", "_reason", "_top", "_total", "prompt")

    other_finish = "aborted the request"

    def __init__(self, bytes_of: BytesOf, *, silent: bool = False, top: int = 0) -> None:
        super().__init__(silent=silent)
        self._bytes_of = bytes_of
        self._top = top
        self.prompt = 0
        self._total = 0
        self._cached: int | None = None
        self._reason: FinishReason | None = None

    def end(self) -> OutputChunk:
        """The last chunk, at `data: [DONE]`."""
        if self._reason is None:
            return super().end()
        ending = int(self._reason is FinishReason.STOP)
        return OutputChunk("", max(ending, self._total - self._output), finish=Finish(self._reason, self._cached))

    def _new(
        self, text: str, tokens: Sequence[int] | None, reason: str | None, logprobs: Sequence[LogProb]
    ) -> Iterator[OutputChunk]:
        """The chunk of an event, if it has text; `reason` is on the event with the last text."""
        if reason is not None:
            self._reason = self.finish_reason(reason)
        output = len(tokens or ())
        self._output += output
        if text or output:
            yield OutputChunk(text, output, ids=tokens or (), logprobs=logprobs)

    def _scored(self, tokens: "Sequence[Entry]", likely: Sequence[Sequence[tuple[float, int | str]]]) -> Sequence[LogProb]:
        """The log-probabilities of tokens, with the likely ones at the place of each, if they were asked for."""
        if not tokens:
            return ()
        return [
            log_prob(token, logprob, ((other, found) for found, other in others), self._top, self._bytes_of)
            for (logprob, token), others in zip(tokens, likely or [()] * len(tokens), strict=True)
        ]


class ChatEndpoint(LMDeployEndpoint):
    """The chat endpoint. The server's output parser, if it has one, must pass text through."""

    path = "/v1/chat/completions"

    def body(
        self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm, images: Sequence[str] = ()
    ) -> bytes:
        """The body of a chat completion without messages."""
        return msgspec.json.encode(
            _ChatCompletion(
                model=request.routing.adapter or model,
                input_ids=request.tokens,
                image_data=images or UNSET,
                max_completion_tokens=max(request.limit, 1),
                temperature=chosen.temperature,
                top_p=chosen.top_p,
                top_k=chosen.top_k,
                min_p=chosen.min_p,
                repetition_penalty=chosen.repetition_penalty,
                seed=UNSET if request.sampling.seed is None else request.sampling.seed,
                response_format=form,
                logprobs=UNSET if request.top is None else True,
                return_logprob=UNSET if request.top is None else True,
                top_logprobs=UNSET if request.top is None else max(request.top, 1),
            )
        )

    def reader(self, bytes_of: BytesOf, *, silent: bool = False, top: int = 0) -> "ChatReader":
        """A reader of one reply."""
        return ChatReader(bytes_of, silent=silent, top=top)


class ChatReader(AnswerReader):
    """Reads chat chunks; the counts come once, in a chunk without choices, after the one with the finish reason."""

    __slots__ = ()

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = _chat_chunk(payload)
        if chunk.usage is not None:
            self.prompt, self._total = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
            self._cached = chunk.usage.cached
        for choice in chunk.choices:
            if choice.delta.reasoning_content or choice.delta.tool_calls:
                raise EngineFailed("the engine parses the model's output: start it without its parsers")
            likely = [place.likely for place in choice.logprobs.content] if choice.logprobs is not None else ()
            logprobs = self._scored(choice.output_token_logprobs or (), likely)
            yield from self._new(choice.delta.content or "", choice.output_ids, choice.finish_reason, logprobs)


class GenerateEndpoint(LMDeployEndpoint):
    """The endpoint without an output parser."""

    path = "/generate"

    def body(
        self, model: str, request: EngineRequest, chosen: ResolvedSampling, form: ConstraintForm, images: Sequence[str] = ()
    ) -> bytes:
        """The request body; this endpoint has no fields for the model's name, a seed or a format."""
        return msgspec.json.encode(
            _Generate(
                input_ids=request.tokens,
                image_data=images or UNSET,
                max_tokens=max(request.limit, 1),
                temperature=chosen.temperature,
                top_p=chosen.top_p,
                top_k=chosen.top_k,
                min_p=chosen.min_p,
                repetition_penalty=chosen.repetition_penalty,
                return_logprob=UNSET if request.top is None else True,
                top_logprobs_num=UNSET if request.top is None else max(request.top, 1),
            )
        )

    def reader(self, bytes_of: BytesOf, *, silent: bool = False, top: int = 0) -> "GenerateReader":
        """A reader of one reply."""
        return GenerateReader(bytes_of, silent=silent, top=top)


class GenerateReader(AnswerReader):
    """Reads `/generate` chunks: each has the token count so far; cached tokens are not reported."""

    __slots__ = ()

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = _generate_chunk(payload)
        meta = chunk.meta_info
        self.prompt, self._total = meta.prompt_tokens or self.prompt, meta.completion_tokens or self._total
        logprobs = self._scored(meta.output_token_logprobs or (), meta.output_top_logprobs or ())
        yield from self._new(chunk.text, chunk.output_ids, meta.finish_reason.type if meta.finish_reason else None, logprobs)


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = True


class _Asked(Struct, kw_only=True):
    """`spaces_between_special_tokens` would add a space between two special tokens that the model did not generate."""

    input_ids: Sequence[int]
    image_data: Sequence[str] | UnsetType = UNSET
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
    logprobs: bool | UnsetType = UNSET
    return_logprob: bool | UnsetType = UNSET
    top_logprobs: int | UnsetType = UNSET


class _Generate(_Asked, kw_only=True):
    max_tokens: int
    return_logprob: bool | UnsetType = UNSET
    top_logprobs_num: int | UnsetType = UNSET


Entry = tuple[float, int]
"""A log-probability and a token id."""


class _LikelyToken(Struct, gc=False):
    """`token` is the token's spelling in the vocabulary."""

    token: str
    logprob: float


class _Place(Struct, gc=False):
    """The likely tokens at one place: the one that was generated is not among the `top_logprobs`."""

    top_logprobs: Sequence[_LikelyToken] = ()

    @property
    def likely(self) -> list[tuple[float, int | str]]:
        """The log-probabilities and the tokens."""
        return [(other.logprob, other.token) for other in self.top_logprobs]


class _Logprobs(Struct, gc=False):
    content: Sequence[_Place] = ()


class _Delta(Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(Struct, gc=False):
    delta: _Delta = _Delta()
    finish_reason: str | None = None
    output_ids: list[int] | None = None
    output_token_logprobs: Sequence[Entry] | None = None
    logprobs: _Logprobs | None = None


class _ChatChunk(Event, gc=False):
    choices: Sequence[_Choice] = ()
    usage: Usage | None = None


class _Finish(Struct, gc=False):
    type: str


class _Meta(Struct, frozen=True, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: _Finish | None = None
    output_token_logprobs: Sequence[Entry] | None = None
    output_top_logprobs: Sequence[Sequence[Entry]] | None = None


class _GenerateChunk(Event, gc=False):
    text: str = ""
    output_ids: Sequence[int] = ()
    meta_info: _Meta = _Meta()


_chat_chunk = EventDecoder(_ChatChunk)
_generate_chunk = EventDecoder(_GenerateChunk)
