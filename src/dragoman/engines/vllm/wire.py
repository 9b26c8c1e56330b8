"""The requests and replies of vLLM's token endpoints.

    POST /v1/completions            token ids in, text out; always there
    POST /inference/v1/generate     the same, with images beside the ids; with `--enable-scale-out`

They stream the same chunks, but for log-probabilities: the second one has them by the bytes of each token. It takes no sampling
field from the model's `generation_config.json`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

from dragoman.engines.base import Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.likely_tokens import BytesOf, log_prob
from dragoman.engines.openai_usage import Usage
from dragoman.engines.reply import Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader
from dragoman.parts import LogProb


class StreamOptions(Struct, frozen=True):
    """What the chunks of a stream have besides text."""

    include_usage: bool = True
    continuous_usage_stats: bool = True


class Completion(Struct):
    """A request body of `/v1/completions`.

    `spaces_between_special_tokens` would add a space between two special tokens that the model did not generate.
    """

    model: str
    prompt: Sequence[int]
    max_tokens: int
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: int | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    min_p: float | UnsetType = UNSET
    repetition_penalty: float | UnsetType = UNSET
    logit_bias: Mapping[str, float] | UnsetType = UNSET
    structured_outputs: Raw | UnsetType = UNSET
    return_token_ids: bool | UnsetType = UNSET
    logprobs: int | UnsetType = UNSET
    prompt_logprobs: int | UnsetType = UNSET
    return_tokens_as_token_ids: bool | UnsetType = UNSET
    stream: bool = True
    stream_options: StreamOptions | None = StreamOptions()
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class SamplingParams(Struct):
    """The sampling parameters of `/inference/v1/generate`; a field that is not set has the value that changes nothing."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    logit_bias: Mapping[str, float] | UnsetType = UNSET
    structured_outputs: Raw | UnsetType = UNSET
    logprobs: int | UnsetType = UNSET
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class ContentPart(Struct, frozen=True):
    """An image."""

    url: str
    type: Literal["image_url"] = "image_url"


class Generate(Struct):
    """A request body of `/inference/v1/generate`. `content_parts` are the images in the prompt's order."""

    model: str
    token_ids: Sequence[int]
    sampling_params: SamplingParams
    content_parts: Sequence[ContentPart] = ()
    output_mode: Literal["text"] = "text"
    stream: bool = True
    stream_options: StreamOptions | None = StreamOptions()


class _Likely(Struct, gc=False):
    """A token of `/inference/v1/generate` with its log-probability."""

    logprob: float
    data: Sequence[int] | None = field(default=None, name="bytes")
    top_logprobs: "Sequence[_Likely]" = ()

    @property
    def spelled(self) -> str:
        """The bytes of the token, each as the letter with that number."""
        return bytes(self.data or ()).decode("latin-1")


class Logprobs(Struct, gc=False):
    """Log-probabilities of tokens: in lists beside the `tokens`, which are spelled `token_id:N`, or in `content`."""

    tokens: Sequence[str] = ()
    token_logprobs: Sequence[float | None] = ()
    top_logprobs: Sequence[Mapping[str, float] | None] = ()
    content: Sequence[_Likely] = ()

    def read(self, top: int, bytes_of: BytesOf) -> list[LogProb]:
        """The entry for each token."""
        rows = zip(self.tokens, self.token_logprobs, self.top_logprobs, strict=True)
        by_id = [
            log_prob(_id(token), logprob, ((_id(other), found) for other, found in (likely or {}).items()), top, bytes_of)
            for token, logprob, likely in rows
        ]
        by_bytes = [
            log_prob(
                token.spelled, token.logprob, ((other.spelled, other.logprob) for other in token.top_logprobs), top, _bytes
            )
            for token in self.content
        ]
        return [*by_id, *by_bytes]


def _id(spelled: str) -> int:
    return int(spelled.removeprefix("token_id:"))


def _bytes(token: int | str) -> bytes:
    """The bytes of a token by its `spelled`."""
    return str(token).encode("latin-1")


class PromptLogprob(Struct, gc=False):
    """The log-probability of a token at a place of the prompt."""

    logprob: float


class Choice(Struct, gc=False):
    """The new text, and what belongs to it."""

    text: str
    finish_reason: str | None = None
    token_ids: Sequence[int] | None = None
    logprobs: Logprobs | None = None
    prompt_logprobs: Sequence[Mapping[str, PromptLogprob] | None] | None = None


class Chunk(Event, gc=False):
    """An event of a reply, or a whole reply."""

    choices: Sequence[Choice] = ()
    usage: Usage | None = None


class CompletionReader(ReplyReader):
    """Reads the stream of a reply. `prompt` is the prompt's length in tokens; `top` is as in `log_prob`."""

    __slots__ = ("_accepted", "_bytes_of", "_prompt", "_reason", "_top")

    other_finish = "aborted the request"

    def __init__(self, prompt: int, bytes_of: BytesOf, *, silent: bool = False, top: int = 0) -> None:
        super().__init__(silent=silent)
        self._prompt = prompt
        self._bytes_of = bytes_of
        self._top = top
        self._accepted = False
        self._reason: FinishReason | None = None

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The chunks that `data` completes; the first reports that the request was accepted, and needs no data."""
        if not self._accepted:
            self._accepted = True
            yield OutputChunk(prefill=PrefillProgress(self._prompt, None, 0))
        yield from super().feed(data)

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = _chunk(payload)
        if not chunk.choices:
            yield self._last(chunk.usage)
            return
        choice = chunk.choices[0]
        output = self.new_tokens(chunk.usage.completion_tokens if chunk.usage is not None else self._output + 1)
        if choice.finish_reason is not None:
            self._reason = self.finish_reason(choice.finish_reason)
        if choice.text or output:
            logprobs = choice.logprobs.read(self._top, self._bytes_of) if choice.logprobs is not None else ()
            yield OutputChunk(choice.text, output, ids=choice.token_ids or (), logprobs=logprobs)

    def end(self) -> OutputChunk:
        """The last chunk, at `data: [DONE]`."""
        return self._last(None)

    def _last(self, usage: Usage | None) -> OutputChunk:
        """The last chunk, made from the usage that comes after the text, or without it at `[DONE]`."""
        if self._reason is None:
            return super().end()
        return OutputChunk(finish=Finish(self._reason, usage.cached if usage is not None else None))


_chunk = EventDecoder(Chunk)
