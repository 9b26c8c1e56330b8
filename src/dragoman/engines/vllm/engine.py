"""vLLM, by its token door: `POST /v1/completions` with token ids in, text out.

What the server does, and this file has to know:

- A sampling field that is left out is filled from the model's own `generation_config.json` (unless the server was started with
  `--generation-config vllm`): that is the recommendation of who made the model, so what the client left open is left out. But
  `max_tokens` would become 16, and special tokens would be cut out of the text: those two are always sent.
- The status comes once the request was checked, before the prompt is read. Then comes a chunk per step, with the number of
  tokens generated so far; a character may take several steps. The reason for the end stands on a chunk that may have no text.
- How much of the prompt was cached is told once, behind that, and only with `--enable-prompt-tokens-details`. A job that is
  left before its end never learns it.
- A closed connection ends the work, in the queue as well.
- A prompt and a limit that do not fit the window together are refused: a limit is cut to what is left.
- A constraint that does not compile is refused before anything is generated; `structured_outputs` has the rest.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.engines.base import EngineKind, EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.http import EngineFault
from dragoman.engines.reply import ReplyDecoder
from dragoman.engines.sse import EventSplitter
from dragoman.engines.structured_outputs import EngineConstraints
from dragoman.engines.token_endpoint import ProbeResult, TokenEndpoint
from dragoman.errors import EngineFailed

SLOTS: Final = 256
"""Jobs that vLLM takes up at once, unless it was told otherwise; it does not say. What is more waits there."""

_FINISHES: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_PATH: Final = "/v1/completions"
_DONE: Final = b"data: [DONE]"


class Vllm(TokenEndpoint):
    """A vLLM server."""

    kind = "vLLM"
    usual_slots = SLOTS

    async def probe_server(self) -> ProbeResult:
        """What the server is, whether it tells what it had cached, and what constraints it holds."""
        version = (await self._http.call("GET", "/version", _Version)).version
        usage = (await self._trial(UNSET)).usage
        tells_cached = usage is not None and usage.prompt_tokens_details is not None
        self.forms = constraints = EngineConstraints(self.tokenize)
        way = await constraints.settle(self._holds)
        return ProbeResult(
            kind=EngineKind.VLLM,
            constrains=way is not None,
            found={
                "engine": f"vLLM {version} at {self._http.address}",
                "constraints": way or "none: a forced call is begun in the prompt, and checked",
                "cached tokens": "told" if tells_cached else "not told: vLLM does with --enable-prompt-tokens-details",
            },
        )

    async def probe(self) -> None:
        """Ask for a sign of life. Raises `EngineError`, also where vLLM says that its engine is dead."""
        await self._http.ping("/health")

    async def _holds(self, held: Raw, answer: str) -> bool:
        """Does the server hold this constraint, whose only answer begins with a character that is no answer to the prompt?"""
        try:
            written = (await self._trial(held)).choices[0].text
        except EngineFailed:
            return False
        return written != "" and answer.startswith(written)

    async def _trial(self, held: ConstraintForm) -> "_Chunk":
        """One token, greedily."""
        prompt = await self.tokenize("2+2=")
        trial = _Completion(self.model, prompt, 1, temperature=0, structured_outputs=held, stream=False, stream_options=None)
        return await self._http.call("POST", _PATH, _Chunk, msgspec.json.encode(trial))

    def posted(self, job: EngineRequest, held: ConstraintForm = UNSET) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The answer to a job, once it was checked and taken."""
        return self._http.work(_PATH, self._encoded(job, held), affinity=job.affinity)

    def _encoded(self, job: EngineRequest, held: ConstraintForm) -> bytes:
        """What the client left open is left out, see above."""
        limit = max(1, min(job.limit, self.window - len(job.tokens)))
        completion = _Completion(job.adapter or self.model, job.tokens, limit, structured_outputs=held, **job.sampling.chosen)
        return msgspec.json.encode(completion)

    def reader(self, job: EngineRequest) -> "CompletionReader":
        """One for each job."""
        return CompletionReader(len(job.tokens), silent=job.limit == 0)


class CompletionReader:
    """Bytes of a completion's stream in, pieces out, however the bytes arrive. Sans-IO.

    `prompt` is its length in tokens. `silent` is for a job of no tokens: the one that comes all the same is not passed on.
    """

    __slots__ = ("_events", "_output", "_prompt", "_reason", "_silent", "_taken", "finished")

    def __init__(self, prompt: int, *, silent: bool = False) -> None:
        self.finished = False
        self._events = EventSplitter()
        self._prompt = prompt
        self._silent = silent
        self._taken = False
        self._output = 0
        self._reason: FinishReason | None = None

    def feed(self, data: bytes) -> Iterator[OutputChunk]:
        """The pieces that `data` completes; the first says that the job was taken, and needs no data."""
        if not self._taken:
            self._taken = True
            yield OutputChunk(prefill=PrefillProgress(self._prompt, None, 0))
        for event in self._events.feed(data):
            if self.finished:
                return
            if event.startswith(b"data: "):
                piece = self._end(None) if event == _DONE else self._read(event[6:])
                if piece is not None:
                    yield piece
            elif event and not event.startswith(b":"):
                raise EngineFailed(f"the engine broke its protocol: {event[:80]!r} is no event")

    def _read(self, payload: bytes) -> OutputChunk | None:
        chunk = _chunk(payload)
        if chunk.error is not None:
            raise EngineFailed(f"the engine failed: {chunk.error.message}")
        if not chunk.choices:
            return self._end(chunk.usage)
        choice = chunk.choices[0]
        total = chunk.usage.completion_tokens if chunk.usage is not None else self._output + 1
        output, self._output = total - self._output, total
        if choice.finish_reason is not None:
            self._reason = _FINISHES.get(choice.finish_reason)
            if self._reason is None:
                raise EngineFailed(f"the engine gave the job up: {choice.finish_reason}")
        return OutputChunk(choice.text, output) if (choice.text or output) and not self._silent else None

    def _end(self, usage: "_Usage | None") -> OutputChunk:
        """The last piece, at the count that comes behind the text, or where that should be."""
        if self._reason is None:
            raise EngineFailed("the engine ended its answer without saying why")
        self.finished = True
        details = usage.prompt_tokens_details if usage is not None else None
        reason = FinishReason.LENGTH if self._silent else self._reason
        return OutputChunk(finish=Finish(reason, details.cached_tokens if details is not None else None))


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = True
    continuous_usage_stats: bool = True


class _Completion(Struct):
    """`spaces_between_special_tokens` would write a blank between two special tokens that the model did not write."""

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


class _Chunk(Struct, gc=False):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: EngineFault | None = None


class _Version(Struct):
    version: str


_chunk = ReplyDecoder(_Chunk)
