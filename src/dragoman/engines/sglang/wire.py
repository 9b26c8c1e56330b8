"""The requests and replies of SGLang's `POST /generate`.

- Unset fields get the server's own defaults, not the model's, and `max_new_tokens` gets 128: so all of them are sent.
- A chunk holds all of the text so far. From a server started with `--incremental-streaming-output` (`--stream-output` in older
  versions, where it affected the ids only) it holds only new text. Nothing in the stream shows which it is.
- Each chunk has the ids of the tokens, and with `return_logprob` the log-probabilities, of all tokens so far or of the new
  ones, as the text. An entry begins with the log-probability and the id. Log-probabilities are those of the distribution from
  which the token was sampled, unless the server runs with `SGLANG_RETURN_ORIGINAL_LOGPROB`.
- Each chunk has the number of tokens generated so far and the number of cached prompt tokens.
- The status is 200 before anything was checked. A refusal is an event, `data: {"error": …}`, or a finish with the reason
  "abort" and a status of its own; a constraint that does not compile is refused that way.
- A finish at a stop string that was not requested is how the server reports that the model computed NaN.
"""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.engines.base import Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.likely_tokens import BytesOf, log_prob
from dragoman.engines.reply import UNREADABLE, Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader
from dragoman.errors import EngineFailed, EngineRefused, EngineUnavailable
from dragoman.parts import LogProb


class SamplingParams(Struct):
    """The sampling parameters of a request.

    `spaces_between_special_tokens` would add a space between two special tokens that the model did not generate.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[str, float] | UnsetType = UNSET
    sampling_seed: int | UnsetType = UNSET
    structural_tag: str | UnsetType = UNSET
    ignore_eos: bool = False
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class Generate(Struct):
    """A request body. `rid` is the request's id, `image_data` are URLs of the images in the prompt's order."""

    input_ids: Sequence[int]
    sampling_params: SamplingParams
    rid: str
    lora_path: str | UnsetType = UNSET
    image_data: Sequence[str] | UnsetType = UNSET
    return_logprob: bool | UnsetType = UNSET
    top_logprobs_num: int | UnsetType = UNSET
    logprob_start_len: int | UnsetType = UNSET
    stream: bool = True


class _Finish(Struct, frozen=True, gc=False):
    type: str
    matched: int | str | list[int] | None = None
    message: str = "no reason given"
    status_code: int | None = None


Entry = tuple[float | None, int, Any]
"""A log-probability, a token id, and the token's text, which is not asked for."""


class _Meta(Struct, frozen=True, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    finish_reason: _Finish | None = None
    output_token_logprobs: Sequence[Entry] = ()
    output_top_logprobs: Sequence[Sequence[Entry] | None] = ()
    input_token_logprobs: Sequence[Entry] = ()
    input_top_logprobs: Sequence[Sequence[Entry] | None] = ()


class Chunk(Event, gc=False):
    """An event of the reply."""

    meta_info: _Meta = _Meta()
    text: str | None = None
    output_ids: Raw = Raw(b"[]")


class GenerateReader(ReplyReader):
    """Reads the stream of a reply. `totals`: each chunk holds all of the text so far. `top` is as in `log_prob`."""

    __slots__ = ("_begun", "_bytes_of", "_text", "_top", "_totals")

    def __init__(self, bytes_of: BytesOf, *, totals: bool, silent: bool = False, top: int = 0) -> None:
        super().__init__(silent=silent)
        self._bytes_of = bytes_of
        self._totals = totals
        self._top = top
        self._begun = False
        self._text = ""

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunks of one event."""
        chunk = decoded(payload, begun=self._begun)
        meta = chunk.meta_info
        if not self._begun:
            self._begun = True
            yield OutputChunk(prefill=PrefillProgress(meta.prompt_tokens, meta.cached_tokens, meta.prompt_tokens))
        text, output = self._new_text(chunk.text or ""), self.new_tokens(meta.completion_tokens)
        finish = Finish(self._reason(meta.finish_reason)) if meta.finish_reason is not None else None
        if text or output or finish is not None:
            ids = _last(chunk.output_ids, output)
            yield OutputChunk(text, output, finish=finish, ids=ids, logprobs=self._scored(meta, output))

    def _scored(self, meta: _Meta, output: int) -> Sequence[LogProb]:
        """The log-probabilities of the last tokens, if they were asked for."""
        if not output or not meta.output_token_logprobs:
            return ()
        likely = meta.output_top_logprobs[-output:]
        return scored(meta.output_token_logprobs[-output:], likely, self._top, self._bytes_of)

    def _new_text(self, text: str) -> str:
        """The text that a chunk adds to the ones before it."""
        if not self._totals:
            return text
        if not text.startswith(self._text):
            raise EngineFailed("the engine broke its protocol: it changed earlier text, or no longer sends all of it")
        new, self._text = text[len(self._text) :], text
        return new

    def _reason(self, finish: _Finish) -> FinishReason:
        if isinstance(finish.matched, str):
            raise EngineFailed(f"the engine stopped at a string that was not requested: {finish.matched}")
        return self.finish_reason(finish.type)


def _last(ids: Raw, count: int) -> Sequence[int]:
    """The last ids of a JSON list, which is not decoded as a whole: it has all ids so far, and comes with every token."""
    written = bytes(ids).strip(b"[] ")
    if not count or not written or written == b"null":
        return ()
    try:
        return _ids(b"[%b]" % b",".join(written.rsplit(b",", count)[-count:]))
    except UNREADABLE as error:
        raise EngineFailed(f"the engine broke its protocol: {error}") from error


def scored(tokens: Sequence[Entry], likely: Sequence[Sequence[Entry] | None], top: int, bytes_of: BytesOf) -> Sequence[LogProb]:
    """The log-probabilities of tokens; there are no `likely` ones if none were asked for."""
    rows = zip(tokens, likely or [None] * len(tokens), strict=True)
    return [
        log_prob(token, logprob, ((other, found) for found, other, _ in others or () if found is not None), top, bytes_of)
        for (logprob, token, _), others in rows
    ]


_chunk = EventDecoder(Chunk)
_ids = msgspec.json.Decoder(list[int]).decode


def decoded(payload: bytes, *, begun: bool) -> Chunk:
    """A chunk that reports no failure. Raises `EngineError`; `EngineRefused` where generation had not begun."""
    chunk = _chunk(payload, failure=EngineFailed if begun else EngineRefused)
    finish = chunk.meta_info.finish_reason
    if finish is not None and finish.type == "abort":
        message = f"the engine aborted the request: {finish.message}"
        if finish.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise EngineUnavailable(message)
        refused = finish.status_code == HTTPStatus.BAD_REQUEST and not begun
        raise (EngineRefused if refused else EngineFailed)(message)
    return chunk
