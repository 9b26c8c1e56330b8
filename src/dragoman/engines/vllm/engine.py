"""vLLM, by its token endpoint: `POST /v1/completions` with token ids in, text out.

What the server does, and what this module relies on:

- An unset sampling field gets its value from the model's own `generation_config.json` (unless the server was started with
  `--generation-config vllm`): the recommendation of the model's makers, so fields that the client did not set are left out. But
  `max_tokens` would become 16, and special tokens would be removed from the text: those two are always sent.
- The status comes once the request was checked, before the prefill. Then comes a chunk per step, with the number of tokens
  generated so far; a character may take several steps. The finish reason is on a chunk that may have no text.
- The number of cached prompt tokens comes once, after that, and only with `--enable-prompt-tokens-details`. It is not known for
  a cancelled request.
- A closed connection cancels the request, in the queue as well.
- A prompt and a limit that do not fit the context together are refused: so the limit is reduced to what is left.
- A constraint that does not compile is refused before anything is generated; `structured_outputs` has the rest.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.engines.base import EngineKind, EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.reply import Event, EventDecoder
from dragoman.engines.reply_reader import ReplyReader
from dragoman.engines.structured_outputs import EngineConstraints
from dragoman.engines.token_endpoint import ProbeResult, TokenEndpoint
from dragoman.errors import EngineFailed

SLOTS: Final = 256
"""Requests that vLLM runs at once by default; it does not report the setting. More requests wait in its queue."""

_PATH: Final = "/v1/completions"


class Vllm(TokenEndpoint):
    """A vLLM server."""

    kind = "vLLM"
    default_slots = SLOTS

    async def probe_server(self) -> ProbeResult:
        """Find the server's version, whether it reports cached tokens, and which constraints it enforces."""
        version = (await self._http.call("GET", "/version", _Version)).version
        usage = (await self._trial(UNSET)).usage
        reports_cached = usage is not None and usage.prompt_tokens_details is not None
        self.fallbacks = constraints = EngineConstraints(self.tokenize)
        form_name = await constraints.choose_form(self._enforces)
        return ProbeResult(
            kind=EngineKind.VLLM,
            constrains=form_name is not None,
            found={
                "engine": f"vLLM {version} at {self._http.address}",
                "constraints": form_name or "none: a forced call is begun in the prompt, and checked",
                "cached tokens": "reported" if reports_cached else "not reported: --enable-prompt-tokens-details is missing",
            },
        )

    async def probe(self) -> None:
        """Probe the health endpoint. Raises `EngineError`, also where vLLM reports that its engine is dead."""
        await self._http.ping("/health")

    async def _enforces(self, form: Raw, answer: str) -> bool:
        """Whether the server enforces this constraint, whose only answer is one that the model would not give otherwise."""
        try:
            written = (await self._trial(form)).choices[0].text
        except EngineFailed:
            return False
        return written != "" and answer.startswith(written)

    async def _trial(self, form: ConstraintForm) -> "_Chunk":
        """The reply to a request for one token, sampled greedily."""
        prompt = await self.tokenize("2+2=")
        trial = _Completion(self.model, prompt, 1, temperature=0, structured_outputs=form, stream=False, stream_options=None)
        return await self._http.call("POST", _PATH, _Chunk, msgspec.json.encode(trial))

    def post(self, request: EngineRequest, form: ConstraintForm = UNSET) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Post a request; enter the context once it is accepted."""
        return self._http.stream(_PATH, self._encoded(request, form), affinity=request.routing.affinity)

    def _encoded(self, request: EngineRequest, form: ConstraintForm) -> bytes:
        """The request body, without unset sampling fields."""
        limit = max(1, min(request.limit, self.window - len(request.tokens)))
        completion = _Completion(
            request.routing.adapter or self.model, request.tokens, limit, structured_outputs=form, **request.sampling.chosen
        )
        return msgspec.json.encode(completion)

    def reader(self, request: EngineRequest) -> "CompletionReader":
        """A reader for this request's reply."""
        return CompletionReader(len(request.tokens), silent=request.limit == 0)


class CompletionReader(ReplyReader):
    """Reads the stream of a completion. `prompt` is the prompt's length in tokens."""

    __slots__ = ("_accepted", "_prompt", "_reason")

    other_finish = "aborted the request"

    def __init__(self, prompt: int, *, silent: bool = False) -> None:
        super().__init__(silent=silent)
        self._prompt = prompt
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
            yield OutputChunk(choice.text, output)

    def end(self) -> OutputChunk:
        """The last chunk, at `data: [DONE]`."""
        return self._last(None)

    def _last(self, usage: "_Usage | None") -> OutputChunk:
        """The last chunk, made from the usage that comes after the text, or without it at `[DONE]`."""
        if self._reason is None:
            return super().end()
        details = usage.prompt_tokens_details if usage is not None else None
        return OutputChunk(finish=Finish(self._reason, details.cached_tokens if details is not None else None))


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = True
    continuous_usage_stats: bool = True


class _Completion(Struct):
    """`spaces_between_special_tokens` would add a space between two special tokens that the model did not generate."""

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
    stream: bool = True
    stream_options: _StreamOptions | None = _StreamOptions()
    skip_special_tokens: bool = False
    spaces_between_special_tokens: bool = False


class _Choice(Struct, gc=False):
    text: str
    finish_reason: str | None = None


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(Struct, gc=False):
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Chunk(Event, gc=False):
    choices: Sequence[_Choice] = ()
    usage: _Usage | None = None


class _Version(Struct):
    version: str


_chunk = EventDecoder(_Chunk)
