"""LMDeploy's doors for token ids: what is said at them, and what comes back.

    POST /v1/chat/completions    no messages and `input_ids`: a seed, output formats, variants, counts of the cache
    POST /generate               none of these, and no parser behind it

What they share: fields that the request leaves open are filled with the server's own defaults (top-k 50 among them), so all of
them are sent; a chunk holds what is new; a token that ends the turn is in no chunk, but in the counts; an error is flat,
`{"message": …}`, as a body and in an `{"error": …}` event alike; `data: [DONE]` comes last.
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


class Door(ABC):
    """One of the doors."""

    path: str

    @abstractmethod
    def body(self, model: str, job: EngineRequest, chosen: ResolvedSampling, held: ConstraintForm) -> bytes:
        """A job, everything said."""

    @abstractmethod
    def reader(self, *, silent: bool = False) -> "AnswerReader":
        """What reads an answer. `silent` is for a job of no tokens: the one that comes all the same is not passed on."""


class AnswerReader(ABC):
    """Bytes of an answer's stream in, pieces out, however the bytes arrive. Sans-IO.

    The counts are whole only at the end, and so is the last piece.
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
        """The pieces that `data` completes. Raises `EngineFailed` at an event that reports a failure or makes no sense."""
        for payload in self._events.feed(data):
            yield from self._read(payload)
        if self._events.done and not self.finished:
            yield self._end()

    @abstractmethod
    def _read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The pieces of one event."""

    def _new(self, text: str, tokens: Sequence[int] | None) -> Iterator[OutputChunk]:
        output = len(tokens or ())
        self._output += output
        if (text or output) and not self._silent:
            yield OutputChunk(text, output)

    def _ends(self, reason: str | None) -> None:
        if reason is not None:
            self._reason = _FINISHES.get(reason)
            if self._reason is None:
                raise EngineFailed(f"the engine gave the job up: {reason}")

    def _end(self) -> OutputChunk:
        if self._reason is None:
            raise EngineFailed("the engine ended its answer without saying why")
        self.finished = True
        if self._silent:
            return OutputChunk(finish=Finish(FinishReason.LENGTH, self._cached))
        return OutputChunk("", max(0, self._total - self._output), finish=Finish(self._reason, self._cached))


class ChatDoor(Door):
    """The chat door. What stands behind it as a parser must let text pass."""

    path = "/v1/chat/completions"

    def body(self, model: str, job: EngineRequest, chosen: ResolvedSampling, held: ConstraintForm) -> bytes:
        """A chat completion of no messages."""
        return msgspec.json.encode(
            _ChatCompletion(
                model=job.adapter or model,
                input_ids=job.tokens,
                max_completion_tokens=max(job.limit, 1),
                temperature=chosen.temperature,
                top_p=chosen.top_p,
                top_k=chosen.top_k,
                min_p=chosen.min_p,
                repetition_penalty=chosen.repetition_penalty,
                seed=UNSET if job.sampling.seed is None else job.sampling.seed,
                response_format=held,
            )
        )

    def reader(self, *, silent: bool = False) -> "ChatReader":
        """One for each job."""
        return ChatReader(silent=silent)


class ChatReader(AnswerReader):
    """Counts come once, in a chunk without choices, behind the one that says why it ended."""

    __slots__ = ()

    def _read(self, payload: bytes) -> Iterator[OutputChunk]:
        chunk = _chat_chunk(payload)
        _check(chunk.error)
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            self._total, self._cached = chunk.usage.completion_tokens, details.cached_tokens if details else None
        for choice in chunk.choices:
            if choice.delta.reasoning_content or choice.delta.tool_calls:
                raise EngineFailed("the engine parses what the model writes: start it without its parsers")
            self._ends(choice.finish_reason)
            yield from self._new(choice.delta.content or "", choice.output_ids)


class GenerateDoor(Door):
    """The door that no parser stands behind."""

    path = "/generate"

    def body(self, model: str, job: EngineRequest, chosen: ResolvedSampling, held: ConstraintForm) -> bytes:
        """A job without what this door has no field for: the model's name, a seed, a format."""
        return msgspec.json.encode(
            _Generate(
                input_ids=job.tokens,
                max_tokens=max(job.limit, 1),
                temperature=chosen.temperature,
                top_p=chosen.top_p,
                top_k=chosen.top_k,
                min_p=chosen.min_p,
                repetition_penalty=chosen.repetition_penalty,
            )
        )

    def reader(self, *, silent: bool = False) -> "GenerateReader":
        """One for each job."""
        return GenerateReader(silent=silent)


class GenerateReader(AnswerReader):
    """Each chunk has the count so far; of the cache nothing is told."""

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
    """`spaces_between_special_tokens` would write a blank between two special tokens that the model did not write."""

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
