"""LMDeploy, by one of its token endpoints (see `endpoints`): ids in, text out.

What the server does, and what this module relies on:

- Its chat endpoint runs output parsers. Without `--tool-call-parser` and `--reasoning-parser` they pass text through, but
  GPT-OSS models always have one. Where the chat endpoint gives no text and the other one does, the other one is used.
- It does not report its context length: the model's settings do, or the user gives it.
- A closed connection cancels the request.
- It enforces a JSON schema on the whole answer, but no text around it: so it cannot enforce tool calls.
- Both endpoints take images beside the ids. It puts as many tokens as an image needs in the place of one, which must be the
  token that it has in such places itself; of some models that is another one than their templates write.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from dragoman.constraints.lark import relaxed
from dragoman.constraints.tree import Constraint, Json
from dragoman.conversation import Sampling
from dragoman.engines.base import EngineKind, EngineRequest, OutputChunk
from dragoman.engines.constraint_fallbacks import ConstraintFallbacks, ConstraintForm
from dragoman.engines.images_beside_ids import urls
from dragoman.engines.lmdeploy.endpoints import AnswerReader, ChatEndpoint, GenerateEndpoint, LMDeployEndpoint
from dragoman.engines.sampling import resolved
from dragoman.engines.token_endpoint import ProbeResult, ServedModel, TokenEndpoint
from dragoman.errors import EngineFailed

_GREEDY: Final = Sampling(temperature=0.0)
_TRIAL: Final = "2+2="
_TRIAL_TOKENS: Final = 8
_FORMAT: Final = {"type": "string", "enum": ["Q"]}
_FORMAT_ANSWER: Final = '"Q"'


class LMDeploy(TokenEndpoint):
    """An LMDeploy server. `window` is its `--session-len`, where the model's settings do not have it.

    It runs 128 requests at once, unless it is configured otherwise, which it does not report; more requests wait in its queue.
    """

    kind = "LMDeploy"
    default_slots = 128

    async def probe_server(self) -> ProbeResult:
        """Find which endpoint gives text, and whether it enforces output formats."""
        self.fallbacks = Formats()
        self._endpoint = await self._choose_endpoint()
        is_chat = isinstance(self._endpoint, ChatEndpoint)
        formats = is_chat and await self._enforces_formats()
        logprobs = await self._reports_logprobs()
        return ProbeResult(
            kind=EngineKind.LMDEPLOY if is_chat else EngineKind.LMDEPLOY_GENERATE,
            formats=formats,
            images=self.folder.sees,
            spells_markers=False,
            logprobs=logprobs,
            variants=is_chat,
            found={
                "window": f"{self.window} tokens, from {'--context-length' if self._requested_window else 'config.json'}",
                "endpoint": self._endpoint.path + ("" if is_chat else ", without seeds: the other one has a parser"),
                "constraints": f"{'output formats' if formats else 'none'}: a forced call is begun in the prompt, and checked",
                "log-probabilities": "reported" if logprobs else "not reported: --logprobs-mode is missing",
                "cached tokens": "reported at the end" if is_chat else "not reported by this endpoint",
            },
        )

    def window_of(self, served: ServedModel) -> int:
        """The context length that the user gave, else the one in the model's settings."""
        window = self._requested_window or self.folder.window
        if window is None:
            raise EngineFailed(f"{self._http.name} does not report its context length: give --context-length N")
        return window

    def variants(self, others: list[ServedModel]) -> list[ServedModel]:
        """All other names: their parent is not reported."""
        return others

    async def _choose_endpoint(self) -> LMDeployEndpoint:
        """The first endpoint that gives text; if the model generates none, the first that works. Raises `EngineFailed`."""
        silent: list[LMDeployEndpoint] = []
        refusals: list[EngineFailed] = []
        for endpoint in (ChatEndpoint(), GenerateEndpoint()):
            try:
                if await self._trial(endpoint):
                    return endpoint
                silent.append(endpoint)
            except EngineFailed as error:
                refusals.append(error)
        if not silent:
            raise EngineFailed(f"{refusals[0].message} (a trial of its endpoints with input_ids)") from refusals[0]
        return silent[0]

    async def _enforces_formats(self) -> bool:
        """Whether the server enforces a JSON schema."""
        try:
            return await self._trial(ChatEndpoint(), _format(_FORMAT)) == _FORMAT_ANSWER
        except EngineFailed:
            return False

    async def _reports_logprobs(self) -> bool:
        """Whether the server reports log-probabilities."""
        try:
            return any(chunk.logprobs for chunk in await self._chunks(self._endpoint, top=0))
        except EngineFailed:
            return False

    async def _trial(self, endpoint: LMDeployEndpoint, form: ConstraintForm = UNSET) -> str:
        """The text of the reply to a small request."""
        return "".join(chunk.text for chunk in await self._chunks(endpoint, form))

    async def _chunks(
        self, endpoint: LMDeployEndpoint, form: ConstraintForm = UNSET, top: int | None = None
    ) -> list[OutputChunk]:
        """The chunks of the reply to a small request."""
        request = EngineRequest(await self.tokenize(_TRIAL), _TRIAL_TOKENS, _GREEDY, top=top)
        _, chunks = await self._replied(endpoint, endpoint.body(self.model, request, resolved(_GREEDY, {}), form))
        return chunks

    async def _replied(self, endpoint: LMDeployEndpoint, body: bytes) -> tuple[AnswerReader, list[OutputChunk]]:
        """The reader of a whole reply, and its chunks."""
        reader = endpoint.reader(self.folder.token_bytes)
        chunks: list[OutputChunk] = []
        async with self._http.stream(endpoint.path, body) as answer:
            async for data in answer:
                chunks += reader.feed(data)
        if not reader.finished:
            raise self._http.lost()
        return reader, chunks

    async def prompt_length(self, ids: Sequence[int], images: Sequence[str]) -> int:
        """The server's count of a prompt with images, from a request for one token."""
        request = EngineRequest(ids, 1, _GREEDY)
        body = self._endpoint.body(self.model, request, resolved(_GREEDY, {}), UNSET, images)
        reader, _ = await self._replied(self._endpoint, body)
        return reader.prompt

    @asynccontextmanager
    async def post(self, request: EngineRequest, form: ConstraintForm = UNSET) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Post a request; enter the context once it is accepted."""
        body = await self.encoded(request, partial(self._encoded, request, form))
        async with self._http.stream(self._endpoint.path, body, routing=request.routing) as answer:
            yield answer

    def _encoded(self, request: EngineRequest, form: ConstraintForm) -> bytes:
        """The request body."""
        chosen = resolved(request.sampling, self.folder.recommended)
        sent = replace(request, tokens=self.ids(request))
        return self._endpoint.body(self.model, sent, chosen, form, urls(request.spans))

    def reader(self, request: EngineRequest) -> AnswerReader:
        """A reader for this request's reply."""
        return self._endpoint.reader(self.folder.token_bytes, silent=request.limit == 0, top=request.top or 0)


class Formats(ConstraintFallbacks):
    """Constraint forms for LMDeploy: JSON schemas only."""

    async def make(self, constraint: Constraint, step: int) -> Raw:
        """The value of `response_format`."""
        if not isinstance(constraint.root, Json):
            raise EngineFailed("this request's constraint cannot be enforced: LMDeploy enforces JSON, and no text around it")
        return _format(relaxed(constraint.root.schema, step))


def _format(schema: Mapping[str, Any]) -> Raw:
    return Raw(msgspec.json.encode({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}))
