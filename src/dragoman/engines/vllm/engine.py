"""vLLM, by its token endpoints (see `wire`): token ids in, text out.

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
- Token ids come with the text, if they are asked for, and log-probabilities, of as many tokens as the server allows (20):
  as the model computes them, without sampling parameters (`--logprobs-mode`). Those of a prompt are not sent in a stream.
- Images are sent beside the ids to a second endpoint, which is there with `--enable-scale-out`. Its reply counts the prompt.
- A constraint that does not compile is refused before anything is generated; `structured_outputs` has the rest.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct

from dragoman.engines.base import EngineKind, EngineRequest
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.images_beside_ids import urls
from dragoman.engines.likely_tokens import log_prob
from dragoman.engines.sampling import resolved
from dragoman.engines.structured_outputs import EngineConstraints
from dragoman.engines.token_endpoint import ProbeResult, TokenEndpoint
from dragoman.engines.vllm.wire import (
    Chunk,
    Completion,
    CompletionReader,
    ContentPart,
    Generate,
    PromptLogprob,
    SamplingParams,
)
from dragoman.errors import EngineFailed
from dragoman.parts import LogProb

SLOTS: Final = 256
"""Requests that vLLM runs at once by default; it does not report the setting. More requests wait in its queue."""

_PATH: Final = "/v1/completions"
_PATH_WITH_IMAGES: Final = "/inference/v1/generate"
_TRIAL: Final = "2+2="


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
        images = self.folder.sees and await self._takes_images()
        endpoint = _PATH_WITH_IMAGES if images else "none for them: --enable-scale-out is missing"
        return ProbeResult(
            kind=EngineKind.VLLM,
            constrains=form_name is not None,
            images=images,
            spells_markers=constraints.spells_markers,
            logprobs=True,
            prompt_logprobs=True,
            found={
                "engine": f"vLLM {version} at {self._http.address}",
                "constraints": form_name or "none: a forced call is begun in the prompt, and checked",
                "cached tokens": "reported" if reports_cached else "not reported: --enable-prompt-tokens-details is missing",
                **({"images": endpoint} if self.folder.sees else {}),
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

    async def _trial(self, form: ConstraintForm) -> Chunk:
        """The reply to a request for one token, sampled greedily."""
        prompt = await self.tokenize(_TRIAL)
        trial = Completion(self.model, prompt, 1, temperature=0, structured_outputs=form, stream=False, stream_options=None)
        return await self._http.call("POST", _PATH, Chunk, msgspec.json.encode(trial))

    async def _takes_images(self) -> bool:
        """Whether the server has the endpoint for images."""
        try:
            return await self.prompt_length(await self.tokenize(_TRIAL), ()) > 0
        except EngineFailed:
            return False

    async def prompt_length(self, ids: Sequence[int], images: Sequence[str]) -> int:
        """The server's count of a prompt with images, from a request for one token."""
        parts = [ContentPart(url) for url in images]
        body = Generate(self.model, ids, SamplingParams(1, temperature=0), parts, stream=False, stream_options=None)
        reply = await self._http.call("POST", _PATH_WITH_IMAGES, Chunk, msgspec.json.encode(body))
        return reply.usage.prompt_tokens if reply.usage is not None else 0

    @asynccontextmanager
    async def post(self, request: EngineRequest, form: ConstraintForm = UNSET) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Post a request; enter the context once it is accepted."""
        path, make = (_PATH_WITH_IMAGES, self._with_images) if request.spans else (_PATH, self._encoded)
        body = await self.encoded(request, partial(make, request, form))
        async with self._http.stream(path, body, routing=request.routing) as answer:
            yield answer

    def _limit(self, request: EngineRequest) -> int:
        """The most tokens that are generated: those that fit the context after the prompt."""
        return max(1, min(request.limit, self.window - len(request.tokens)))

    def _encoded(self, request: EngineRequest, form: ConstraintForm) -> bytes:
        """The body of a request without images, without unset sampling fields."""
        completion = Completion(
            request.routing.adapter or self.model,
            request.tokens,
            self._limit(request),
            structured_outputs=form,
            return_token_ids=True if request.ids or request.special_tokens else UNSET,
            logprobs=UNSET if request.top is None else request.top,
            return_tokens_as_token_ids=UNSET if request.top is None else True,
            **request.sampling.chosen,
        )
        return msgspec.json.encode(completion)

    def _with_images(self, request: EngineRequest, form: ConstraintForm) -> bytes:
        """The body of a request with images, with every sampling field set."""
        chosen = resolved(request.sampling, self.folder.recommended)
        sampling = SamplingParams(
            self._limit(request),
            **{**request.sampling.chosen, **msgspec.structs.asdict(chosen)},
            structured_outputs=form,
            logprobs=UNSET if request.top is None else request.top,
        )
        parts = [ContentPart(url) for url in urls(request.spans)]
        return msgspec.json.encode(Generate(request.routing.adapter or self.model, self.ids(request), sampling, parts))

    async def score(self, tokens: Sequence[int], top: int) -> Sequence[LogProb]:
        """Ask for them with a request of one token."""
        body = msgspec.json.encode(Completion(self.model, tokens, 1, prompt_logprobs=top, stream=False, stream_options=None))
        found = (await self._http.call("POST", _PATH, Chunk, body)).choices[0].prompt_logprobs or ()
        if len(found) != len(tokens):
            raise EngineFailed("the engine did not report the log-probabilities of the prompt")
        return [self._scored(token, likely or {}, top) for token, likely in zip(tokens, found, strict=True)]

    def _scored(self, token: int, likely: Mapping[str, PromptLogprob], top: int) -> LogProb:
        """The log-probability of a token of the prompt, which is among the likely ones unless it is the first."""
        known = {int(other): found.logprob for other, found in likely.items()}
        return log_prob(token, known.get(token), known.items(), top, self.folder.token_bytes)

    def reader(self, request: EngineRequest) -> CompletionReader:
        """A reader for this request's reply."""
        return CompletionReader(len(request.tokens), self.folder.token_bytes, silent=request.limit == 0, top=request.top or 0)


class _Version(Struct):
    version: str
