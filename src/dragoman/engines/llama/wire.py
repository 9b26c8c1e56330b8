"""The requests and replies of llama.cpp's server."""

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from dragoman.engines.base import NO_DRAFTS, Drafts, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.reply import Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader
from dragoman.parts import LikelyToken, LogProb

IDS_AT_ONCE: Final = 50_000
"""Token ids that are encoded at once."""


class MediaPrompt(Struct):
    """A prompt with images: its text has the server's marker once for each image, whose base64 is in `multimodal_data`."""

    prompt_string: str
    multimodal_data: Sequence[Raw]


class Completion(Struct):
    """A request body of `POST /completion`. Of special tokens, only the `preserved_tokens` are in the text of the reply."""

    prompt: Sequence[int] | MediaPrompt | Raw
    n_predict: int
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: int | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    presence_penalty: float | UnsetType = UNSET
    frequency_penalty: float | UnsetType = UNSET
    min_p: float | UnsetType = UNSET
    repetition_penalty: float | UnsetType = field(default=UNSET, name="repeat_penalty")
    logit_bias: Sequence[tuple[int, float]] | UnsetType = UNSET
    grammar: str | UnsetType = UNSET
    preserved_tokens: Sequence[str] | UnsetType = UNSET
    stop: Sequence[str] | UnsetType = UNSET
    id_slot: int | UnsetType = UNSET
    return_tokens: bool | UnsetType = UNSET
    n_probs: int | UnsetType = UNSET
    stream: bool = True
    return_progress: bool = True
    cache_prompt: bool = True
    response_fields: tuple[str, ...] = (
        "content",
        "stop",
        "stop_type",
        "stopping_word",
        "tokens_predicted",
        "timings/draft_n",
        "timings/draft_n_accepted",
    )


async def json_of_ids(tokens: Sequence[int]) -> Raw:
    """The JSON of many token ids; other tasks run between its pieces, each of which takes a millisecond."""
    pieces = []
    for start in range(0, len(tokens), IDS_AT_ONCE):
        pieces.append(msgspec.json.encode(tokens[start : start + IDS_AT_ONCE])[1:-1])
        await asyncio.sleep(0)
    return Raw(b"[%b]" % b",".join(pieces))


async def array_of_ids(tokens: Sequence[int]) -> "array[int]":
    """Many token ids as 32-bit integers; other tasks run between the pieces, as in `json_of_ids`."""
    ids = array("I")
    for start in range(0, len(tokens), IDS_AT_ONCE):
        ids += array("I", tokens[start : start + IDS_AT_ONCE])
        if len(ids) < len(tokens):
            await asyncio.sleep(0)
    return ids


class _Progress(Struct):
    total: int
    cache: int
    processed: int


class _Likely(Struct, gc=False):
    token: str
    bytes: Sequence[int]
    logprob: float

    @property
    def likely(self) -> LikelyToken:
        """The token, with its log-probability."""
        return LikelyToken(self.token, bytes(self.bytes), self.logprob)


class _Probability(_Likely, gc=False):
    top_logprobs: Sequence[_Likely] = ()


class Chunk(Event, gc=False):
    """An event of a completion, or its whole reply where it is not streamed.

    Of several tokens that make up one character, `tokens` and `completion_probabilities` have only the last.
    """

    content: str = ""
    tokens: Sequence[int] = ()
    completion_probabilities: Sequence[_Probability] = ()
    tokens_predicted: int = 0
    stop: bool = False
    stop_type: str = "none"
    stopping_word: str = ""
    prompt_progress: _Progress | None = None
    drafted: int = field(default=0, name="timings/draft_n")
    accepted: int = field(default=0, name="timings/draft_n_accepted")


class SchemaTrial(Struct):
    """The reply to a completion with a `json_schema` and these `response_fields`: the grammar that the server made of it."""

    fields: ClassVar[Sequence[str]] = ("generation_settings/grammar",)
    grammar: str = field(default="", name="generation_settings/grammar")


class CompletionReader(ReplyReader):
    """Reads the stream of a completion. `top`: the log-probabilities of that many of the likeliest tokens are wanted.

    `stopped_at` is the string of the request's `stop` that ended it, empty if none did.
    """

    __slots__ = ("_top", "stopped_at")

    finishes: ClassVar[Mapping[str, FinishReason]] = {
        "eos": FinishReason.STOP,
        "word": FinishReason.STOP,
        "limit": FinishReason.LENGTH,
    }

    def __init__(self, *, silent: bool = False, top: int | None = None) -> None:
        super().__init__(silent=silent)
        self._top = top
        self.stopped_at = ""

    def read(self, payload: bytes) -> Sequence[OutputChunk]:
        """The chunks of one event."""
        chunk = _chunk(payload)
        output = self.new_tokens(chunk.tokens_predicted)
        if chunk.stop:
            self.stopped_at = chunk.stopping_word
            return (OutputChunk(chunk.content, output, finish=_finish(self.finish_reason(chunk.stop_type), chunk)),)
        if chunk.prompt_progress is not None:
            progress = chunk.prompt_progress
            return (OutputChunk(prefill=PrefillProgress(progress.total, progress.cache, progress.processed)),)
        if not output and not chunk.content:
            return ()
        logprobs = () if self._top is None else [_logprob(each, self._top) for each in chunk.completion_probabilities]
        return (OutputChunk(chunk.content, output, ids=chunk.tokens, logprobs=logprobs),)


def _logprob(found: _Probability, top: int) -> LogProb:
    return LogProb(found.token, bytes(found.bytes), found.logprob, [other.likely for other in found.top_logprobs[:top]])


def _finish(reason: FinishReason, chunk: Chunk) -> Finish:
    return Finish(reason, drafts=Drafts(chunk.drafted, chunk.accepted) if chunk.drafted else NO_DRAFTS)


_chunk = EventDecoder(Chunk)


class Slot(Struct):
    """A slot of the server, and the request that has it or had it last. Counts are in tokens."""

    id: int
    is_processing: bool
    n_ctx: int
    n_prompt_tokens: int = 0
    n_prompt_tokens_processed: int = 0
    n_prompt_tokens_cache: int = 0


class _Settings(Struct):
    n_ctx: int


class _Modalities(Struct, frozen=True):
    vision: bool = False


class Props(Struct):
    """The reply of `GET /props`. Servers without a `media_marker` have a fixed one."""

    default_generation_settings: _Settings
    total_slots: int
    model_path: str = ""
    chat_template: str = ""
    bos_token: str = ""
    eos_token: str = ""
    modalities: _Modalities = _Modalities()
    media_marker: str = "<__media__>"
    build_info: str = ""


class _Meta(Struct):
    n_vocab: int | None = None


class _Model(Struct):
    id: str
    meta: _Meta | None = None


class Models(Struct):
    """The reply of `GET /v1/models`."""

    data: list[_Model]


class Tokens(Struct):
    """The reply of `POST /tokenize`."""

    tokens: list[int]


class Text(Struct):
    """The reply of `POST /detokenize`."""

    content: str


class Count(Struct):
    """The reply of `POST /v1/messages/count_tokens`."""

    input_tokens: int
