"""SGLang, by its token endpoint: `POST /generate` (see `wire`) with token ids in, text out.

What the server does, and what this module relies on:

- It does not report whether a chunk holds all of the text so far or only new text: a trial at the start finds out.
- Prompt and limit together must stay below the context length: one token of it is never used.
- It notices a closed connection only after seconds; so a cancelled request is also aborted by its id.
- Of a prompt with images, older versions make text of the ids, and ids of the text again: so the text must have no spellings of
  special tokens that are meant as text. It reports the length of such a prompt with the first chunk.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.engines.base import EngineKind, EngineRequest
from dragoman.engines.constraint_fallbacks import ConstraintForm
from dragoman.engines.images_beside_ids import urls
from dragoman.engines.sampling import resolved
from dragoman.engines.sglang.wire import Chunk, Generate, GenerateReader, SamplingParams, decoded, scored
from dragoman.engines.sse import DONE, EventSplitter, data_of
from dragoman.engines.structured_outputs import EngineConstraints
from dragoman.engines.token_endpoint import ProbeResult, ServedModel, TokenEndpoint
from dragoman.errors import EngineFailed
from dragoman.parts import LogProb

_PATH: Final = "/generate"
_TRIAL: Final = "1 2 3 4 5"
_TRIAL_TOKENS: Final = 12


class SGLang(TokenEndpoint):
    """An SGLang server. It has a queue of its own, and is sent as many requests at once as vLLM."""

    kind = "SGLang"
    default_slots = 256

    async def probe_server(self) -> ProbeResult:
        """Find how the server streams, and which constraints it enforces."""
        self._totals = await self._streams_totals()
        self.fallbacks = constraints = EngineConstraints(self.tokenize)
        form_name = await constraints.choose_form(self._enforces)
        info = await self._info()
        return ProbeResult(
            kind=EngineKind.SGLANG,
            constrains=form_name is not None,
            images=info.has_image_understanding,
            spells_markers=constraints.spells_markers,
            logprobs=True,
            prompt_logprobs=True,
            found={
                "model": info.model_path or self.model,
                "stream": "all text so far" if self._totals else "new text",
                "constraints": form_name or "none: a forced call is begun in the prompt, and checked",
                "cached tokens": "reported",
            },
        )

    async def prompt_length(self, ids: Sequence[int], images: Sequence[str]) -> int:
        """The server's count of a prompt with images, from a request for one token."""
        body = msgspec.json.encode(Generate(ids, SamplingParams(1, temperature=0), uuid4().hex, image_data=images))
        chunks = await self._chunks(body)
        return chunks[0].meta_info.prompt_tokens if chunks else 0

    async def model_path(self, served: ServedModel) -> str:
        """The path of the tokenizer, which the server reports."""
        info = await self._info()
        return info.tokenizer_path or info.model_path

    def window_of(self, served: ServedModel) -> int:
        """The reported context length, less one token that is never used."""
        return super().window_of(served) - 1

    async def _info(self) -> "_Info":
        """The paths of the model and its tokenizer. Older versions have another name for the endpoint."""
        try:
            return await self._http.call("GET", "/model_info", _Info)
        except EngineFailed:
            return await self._http.call("GET", "/get_model_info", _Info)

    async def _streams_totals(self) -> bool:
        """Whether each chunk holds all of the text so far. Raises `EngineFailed` where it holds none."""
        texts = [chunk.text for chunk in await self._trial(SamplingParams(_TRIAL_TOKENS, temperature=0, ignore_eos=True))]
        if None in texts:
            raise EngineFailed(f"{self._http.name} gives no text: start it without --skip-tokenizer-init")
        nonempty = [text for text in texts if text]
        return all(after.startswith(before) for before, after in pairwise(nonempty)) and nonempty[:1] != nonempty[-1:]

    async def _enforces(self, form: Raw, answer: str) -> bool:
        """Whether the server enforces this constraint, whose only answer is one that the model would not give otherwise."""
        tag = _tag(form)
        if tag is UNSET:
            return False
        try:
            chunks = await self._trial(SamplingParams(1, temperature=0, structural_tag=tag))
        except EngineFailed:
            return False
        written = chunks[-1].text if chunks else ""
        return bool(written) and answer.startswith(written or "")

    async def _trial(self, sampling: SamplingParams) -> list[Chunk]:
        """The chunks of the reply to a small request."""
        return await self._chunks(msgspec.json.encode(Generate(await self.tokenize(_TRIAL), sampling, uuid4().hex)))

    async def _chunks(self, body: bytes) -> list[Chunk]:
        """The chunks of a reply."""
        events, chunks = EventSplitter(), []
        async with self._http.stream(_PATH, body) as answer:
            async for data in answer:
                for event in events.feed(data):
                    payload = data_of(event)
                    if payload is not None and payload != DONE:
                        chunks.append(decoded(payload, begun=False))
        return chunks

    @asynccontextmanager
    async def post(self, request: EngineRequest, form: ConstraintForm) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Post a request; enter the context before it is checked. A cancelled request is aborted."""
        rid = _rid(request.routing.affinity)
        try:
            body = await self.encoded(request, partial(self._encoded, request, rid, form))
            async with self._http.stream(_PATH, body, routing=request.routing) as answer:
                yield answer
        except (asyncio.CancelledError, GeneratorExit):
            self._http.post_later("/abort_request", msgspec.json.encode({"rid": rid}), routing=request.routing)
            raise

    def _encoded(self, request: EngineRequest, rid: str, form: ConstraintForm) -> bytes:
        """The request body, with every field set."""
        chosen = resolved(request.sampling, self.folder.recommended)
        sampling = SamplingParams(
            max_new_tokens=max(request.limit, 1),
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            top_k=chosen.top_k or -1,
            min_p=chosen.min_p,
            repetition_penalty=chosen.repetition_penalty,
            presence_penalty=request.sampling.presence_penalty or 0.0,
            frequency_penalty=request.sampling.frequency_penalty or 0.0,
            logit_bias=request.sampling.logit_bias or UNSET,
            sampling_seed=UNSET if request.sampling.seed is None else request.sampling.seed,
            structural_tag=_tag(form),
        )
        images = urls(request.spans) if request.spans else UNSET
        body = Generate(self.ids(request), sampling, rid, request.routing.adapter or UNSET, images)
        if request.top is not None:
            body.return_logprob, body.top_logprobs_num = True, request.top
        return msgspec.json.encode(body)

    async def score(self, tokens: Sequence[int], top: int) -> Sequence[LogProb]:
        """Ask for them with a request of one token."""
        body = Generate(tokens, SamplingParams(1, temperature=0), uuid4().hex)
        body.return_logprob, body.top_logprobs_num, body.logprob_start_len = True, top, 0
        for chunk in await self._chunks(msgspec.json.encode(body)):
            found = chunk.meta_info
            if len(found.input_token_logprobs) == len(tokens):
                return scored(found.input_token_logprobs, found.input_top_logprobs, top, self.folder.token_bytes)
        raise EngineFailed("the engine did not report the log-probabilities of the prompt")

    def reader(self, request: EngineRequest) -> GenerateReader:
        """A reader for this request's reply."""
        return GenerateReader(self.folder.token_bytes, totals=self._totals, silent=request.limit == 0, top=request.top or 0)


class _Form(Struct):
    structural_tag: str | UnsetType = UNSET


class _Info(Struct):
    model_path: str = ""
    tokenizer_path: str = ""
    has_image_understanding: bool = False


def _rid(affinity: str | None) -> str:
    """A request id. SGLang's gateway reads the text before `_t` and digits as the conversation's id, even without a header."""
    return uuid4().hex if affinity is None else f"{affinity}_t{uuid4().int}"


def _tag(form: ConstraintForm) -> str | UnsetType:
    """The structural tag in a constraint form, where there is one."""
    return UNSET if form is UNSET else msgspec.json.decode(form, type=_Form).structural_tag
