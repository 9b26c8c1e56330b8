"""What is said to SGLang's `POST /generate`, and what comes back.

- Fields that the request leaves open are filled with defaults of the server's own and not with the model's, and
  `max_new_tokens` with 128: all of them are sent.
- A chunk holds all of the text so far. Of a server started with `--incremental-streaming-output` (`--stream-output` in older
  versions, where it was the ids only) it holds what is new. Nothing in the stream says which it is.
- Each chunk tells how many tokens were generated so far, and how many of the prompt were cached.
- The status is 200 before anything was checked. A refusal is an event, `data: {"error": …}`, or an end for the reason
  "abort" with a status of its own; a constraint that does not compile is told so.
- An end at a stop string that nobody asked for is how the server says that the model computed no number.
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from dragoman.engines.base import Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.http import EngineFault
from dragoman.engines.reply import ReplyDecoder
from dragoman.engines.sse import DataEvents
from dragoman.errors import EngineFailed, EngineRefused, EngineUnavailable

_FINISHES: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class SamplingParams(Struct):
    """How tokens are chosen.

    `spaces_between_special_tokens` would write a blank between two special tokens that the model did not write.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    sampling_seed: int | UnsetType = UNSET
    structural_tag: str | UnsetType = UNSET
    ignore_eos: bool = False
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class Generate(Struct):
    """A job. `rid` is its name."""

    input_ids: Sequence[int]
    sampling_params: SamplingParams
    rid: str
    lora_path: str | UnsetType = UNSET
    stream: bool = True


class _Finish(Struct, frozen=True, gc=False):
    type: str
    matched: int | str | list[int] | None = None
    message: str = "no reason given"
    status_code: int | None = None


class _Meta(Struct, frozen=True, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    finish_reason: _Finish | None = None


class Chunk(Struct, gc=False):
    """An event of the answer."""

    meta_info: _Meta = _Meta()
    text: str | None = None
    error: EngineFault | None = None


class GenerateReader:
    """Bytes of an answer's stream in, pieces out, however the bytes arrive. Sans-IO.

    `totals`: each chunk holds all of the text. `silent` is for a job of no tokens: the one that comes all the same is not
    passed on.
    """

    __slots__ = ("_begun", "_events", "_output", "_silent", "_text", "_totals", "finished")

    def __init__(self, *, totals: bool, silent: bool = False) -> None:
        self.finished = False
        self._events = DataEvents()
        self._totals = totals
        self._silent = silent
        self._begun = False
        self._text = ""
        self._output = 0

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The pieces that `data` completes. Raises `EngineRefused` at a refusal in the place of the first of them."""
        for payload in self._events.feed(data):
            chunk = decoded(payload, begun=self._begun)
            meta = chunk.meta_info
            if not self._begun:
                self._begun = True
                yield OutputChunk(prefill=PrefillProgress(meta.prompt_tokens, meta.cached_tokens, meta.prompt_tokens))
            text, output = self._new(chunk.text or "", meta.completion_tokens)
            if meta.finish_reason is not None:
                self.finished = True
                yield OutputChunk(text, output, finish=Finish(self._reason(meta.finish_reason)))
                return
            if text or output:
                yield OutputChunk(text, output)

    def _new(self, text: str, output: int) -> tuple[str, int]:
        """What a chunk adds to the ones before it."""
        if self._silent:
            return "", 0
        if self._totals:
            if not text.startswith(self._text):
                raise EngineFailed("the engine broke its protocol: it took back text, or no longer sends all of it")
            text, self._text = text[len(self._text) :], text
        output, self._output = output - self._output, output
        return text, output

    def _reason(self, finish: _Finish) -> FinishReason:
        if isinstance(finish.matched, str):
            raise EngineFailed(f"the engine stopped at what nobody asked it to stop at: {finish.matched}")
        reason = _FINISHES.get(finish.type)
        if reason is None:
            raise EngineFailed(f"the engine stopped for a reason it does not name: {finish.type}")
        return FinishReason.LENGTH if self._silent else reason


_chunk = ReplyDecoder(Chunk)


def decoded(payload: bytes, *, begun: bool) -> Chunk:
    """A chunk that reports no failure. Raises `EngineError`; a request that was not even begun was refused."""
    chunk = _chunk(payload)
    finish = chunk.meta_info.finish_reason
    if chunk.error is not None:
        raise (EngineFailed if begun else EngineRefused)(f"the engine failed: {chunk.error.message}")
    if finish is not None and finish.type == "abort":
        message = f"the engine gave the job up: {finish.message}"
        if finish.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise EngineUnavailable(message)
        refused = finish.status_code == HTTPStatus.BAD_REQUEST and not begun
        raise (EngineRefused if refused else EngineFailed)(message)
    return chunk
