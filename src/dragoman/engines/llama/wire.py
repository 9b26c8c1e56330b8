"""The requests and replies of llama.cpp's server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from msgspec import UNSET, Raw, Struct, UnsetType, field

from dragoman.engines.base import NO_DRAFTS, Drafts, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.reply import Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader


class MediaPrompt(Struct):
    """A prompt with images: its text has the server's marker once for each image, whose base64 is in `multimodal_data`."""

    prompt_string: str
    multimodal_data: Sequence[Raw]


class Completion(Struct):
    """A request body of `POST /completion`. Of special tokens, only the `preserved_tokens` are in the text of the reply."""

    prompt: Sequence[int] | MediaPrompt
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
    id_slot: int | UnsetType = UNSET
    stream: bool = True
    return_progress: bool = True
    cache_prompt: bool = True
    response_fields: tuple[str, ...] = (
        "content",
        "stop",
        "stop_type",
        "tokens_predicted",
        "timings/draft_n",
        "timings/draft_n_accepted",
    )


class _Progress(Struct):
    total: int
    cache: int
    processed: int


class Chunk(Event, gc=False):
    """An event of a completion, or its whole reply where it is not streamed."""

    content: str = ""
    tokens_predicted: int = 0
    stop: bool = False
    stop_type: str = "none"
    prompt_progress: _Progress | None = None
    drafted: int = field(default=0, name="timings/draft_n")
    accepted: int = field(default=0, name="timings/draft_n_accepted")


class SchemaTrial(Struct):
    """The reply to a completion with a `json_schema` and these `response_fields`: the grammar that the server made of it."""

    fields: ClassVar[Sequence[str]] = ("generation_settings/grammar",)
    grammar: str = field(default="", name="generation_settings/grammar")


class CompletionReader(ReplyReader):
    """Reads the stream of a completion."""

    __slots__ = ()

    finishes: ClassVar[Mapping[str, FinishReason]] = {
        "eos": FinishReason.STOP,
        "word": FinishReason.STOP,
        "limit": FinishReason.LENGTH,
    }

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = _chunk(payload)
        output = self.new_tokens(chunk.tokens_predicted)
        if chunk.stop:
            yield OutputChunk(chunk.content, output, finish=_finish(self.finish_reason(chunk.stop_type), chunk))
        elif chunk.prompt_progress is not None:
            progress = chunk.prompt_progress
            yield OutputChunk(prefill=PrefillProgress(progress.total, progress.cache, progress.processed))
        elif output or chunk.content:
            yield OutputChunk(chunk.content, output)


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


class Count(Struct):
    """The reply of `POST /v1/messages/count_tokens`."""

    input_tokens: int
