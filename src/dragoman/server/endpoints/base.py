"""Base of the endpoints that take a prompt: read the body, run the generation, send it in the endpoint's API format."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.base import capability_rejected
from dragoman.api.format import ApiFormat, Encoder
from dragoman.conversation import Tool
from dragoman.conversation.context_edits import AppliedEdit
from dragoman.engines import SHORT_PROMPT, Routing
from dragoman.errors import DragomanError, EngineRefused, InvalidRequest
from dragoman.generation import AnswerRun
from dragoman.observability import Record
from dragoman.observability.cache_miss import CacheMiss, Sent
from dragoman.observability.details import AnswerDetails, PromptText
from dragoman.server.access.rate_limits import SPENDING, Spending
from dragoman.server.answering.affinity import affinity
from dragoman.server.answering.answers import answers_of, compacting
from dragoman.server.answering.choices import Choices
from dragoman.server.answering.early_stream import LOADING_PATIENCE, EarlyStream
from dragoman.server.answering.incoming import Incoming, Prepared
from dragoman.server.answering.managed import Managed, managed
from dragoman.server.answering.preparation import Read
from dragoman.server.answering.stream import EventStream, ResponseContext, send_message, whole_message
from dragoman.server.models.admission import Gaps
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.served_model import ServedModel
from dragoman.server.transport.body import read_json_body
from dragoman.server.transport.disconnect import until_disconnect

E = TypeVar("E")


class Endpoint(ABC):
    """The ASGI application of one path."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body and answer the request; stop if the client disconnects."""
        request = Request(scope, receive)
        with self.registry.bodies.share() as share:
            body = await read_json_body(request, share)
            request.state.record.body_bytes = len(body)
            await until_disconnect(receive, self.answer(request, body, send))

    @abstractmethod
    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request; every refusal is raised before the first byte (ERR-8). Cancelled if the client disconnects."""

    async def prepare(self, record: Record, incoming: Incoming, model: ServedModel) -> Prepared:
        """Read the rest of a request for its model, and record it. Raises as `Incoming.prepared`."""
        read = await incoming.prepared(model, record.key)
        made = await read.with_server_tools(self.registry.toolbox)
        record.model, record.stream = made.read.model, made.read.stream
        record.content = made.facts.content if made.facts else {}
        record.unknown = self.registry.new_names(made.read.unknown)
        return made

    async def count(self, record: Record, incoming: Incoming) -> Managed:
        """Return a request with its prompt, to be counted. Raises what generating would raise."""
        record.ask(incoming.head.model, stream=False)
        async with self.registry.use(record.model, LOADING_PATIENCE) as (model, _):
            record.use(model.info.id)
            counted = await managed(incoming, model, record.key, await self.prepare(record, incoming, model))
            record.notes = counted.notes
            return counted


@dataclass(frozen=True, slots=True)
class Planned:
    """The answers of a request, and what its response says besides: edits, why the cache missed, the tools of MCP servers."""

    answers: Sequence[AnswerRun]
    applied: Sequence[AppliedEdit] = ()
    cache_miss: CacheMiss | None = None
    listings: Mapping[str, Sequence[Tool]] = field(default_factory=dict)


class GeneratingEndpoint(Endpoint, Generic[E]):
    """An endpoint that answers with a generation, in its API format."""

    api_format: ApiFormat[E]

    @abstractmethod
    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""

    @abstractmethod
    def encoders(self, read: Read, planned: Planned) -> Sequence[Encoder[E]]:
        """Return an encoder for each choice of the answer; most formats have one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, unless its key has used up a limit: then the body is not read. Raises `RateLimited`."""
        self.registry.recent.open(scope["state"]["record"], Headers(scope=scope), scope["query_string"].decode("latin-1"))
        scope["state"][SPENDING].begin()
        await super().__call__(scope, receive, send)

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request; every refusal is raised before the first byte (ERR-8)."""
        record: Record = request.state.record
        spending: Spending = request.state.spending
        if record.details is not None:
            record.details.body = body
        incoming = await self.read(request, body)
        record.ask(incoming.head.model, stream=bool(incoming.head.stream))
        early = EarlyStream(send, self.api_format, record)
        async with early, self.registry.use(record.model, early.patience) as (model, adapter):
            early.settle()
            record.use(model.info.id)
            made = await self.prepare(record, incoming, model)
            routing = Routing(adapter, affinity(request.headers, **made.read.named), record.trace)
            with model.admission.admitted():
                async with self._response(record, incoming, made, model, routing) as response:
                    spending.reserve(response.choices.counts.prompt)
                    if record.stream:
                        await EventStream(response, model.admission).run(early.begin)
                    else:
                        await send_message(response, model.admission, send)

    async def answer_in_gap(self, request: Request, body: bytes, name: str, gaps: Callable[[ServedModel], Gaps]) -> Struct:
        """Return the whole answer to a request of a batch, which waits until no interactive request wants its slot.

        `name` is the id of the model that the request is for, empty for one that there is not. Raises what answering raises.
        """
        record: Record = request.state.record
        incoming = await self.read(request, body)
        record.ask(incoming.head.model, stream=False)
        if not name:
            raise self.registry.unknown(record.model)
        async with self.registry.use(name) as (model, adapter):
            record.use(model.info.id)
            slots = gaps(model)
            made = await self.prepare(record, incoming, model)
            routing = Routing(adapter, affinity(request.headers, **made.read.named), record.trace, continued=False)
            async with self._response(record, incoming, made, model, routing) as response:
                return await whole_message(response, slots)

    @asynccontextmanager
    async def _response(
        self, record: Record, incoming: Incoming, made: Prepared, model: ServedModel, routing: Routing
    ) -> AsyncIterator[ResponseContext[E]]:
        """Yield the response to a request, to be run in the context. Raises what the prompt and the engine raise."""
        planned = await self.plan(incoming, made, model, routing, record)
        if record.details is not None:
            record.details.answers = [AnswerDetails(answer) for answer in planned.answers]
        choices = Choices(planned.answers, made.read.choices, together=model.found.kind.shares_prompts)
        encoders = self.encoders(made.read, planned)
        try:
            yield ResponseContext(choices, self.api_format, encoders, record, partial(self.keep, encoders[0], record))
        except EngineRefused as refused:
            raise (_images_refused(refused) if choices.has_images else self.refusal(made, refused)) from None
        model.speed.add(*record.decoded)

    async def keep(self, encoder: Encoder[E], record: Record) -> None:
        """Keep an answer that is complete, if the API has that."""

    def refusal(self, made: Prepared, refused: EngineRefused) -> DragomanError:
        """Return the error to raise if the engine refuses a request."""
        return refused

    async def plan(self, incoming: Incoming, made: Prepared, model: ServedModel, routing: Routing, record: Record) -> Planned:
        """Return the answers of a request, one for each choice. Raises what the prompt raises, and `PromptTooLong`."""
        edited = await managed(incoming, model, record.key, made)
        made, prompt = edited.made, edited.prompt
        read, facts = made.read, made.facts
        record.notes = [*edited.notes, *model.feasibility.notes(read.conversation.policy, routing.affinity)]
        compaction = read.compaction
        if compaction is not None and compaction.is_due(read.conversation, prompt.length, model.prompts.window):
            record.notes.append(f"compacted: {prompt.length:,} tokens")
            answers: Sequence[AnswerRun] = [await compacting(compaction, made, model, routing)]
        else:
            answers = await answers_of(made, prompt, model, routing)
        miss = None
        if facts is not None:
            if prompt.length > SHORT_PROMPT:
                await asyncio.sleep(0)  # what comes before and what follows may take milliseconds each
            record.diverged, before = model.prefix_tracker.follow(facts.trail, prompt)
            if record.details is not None:
                record.details.prompt = PromptText.of(prompt, before)
            if read.diagnosed is not None:
                sent = Sent.of(model.info.id, facts.trail, prompt)
                miss = self.registry.sent_prompts.follow(read.diagnosed, read.reply.message_id, sent)
        return Planned(answers, edited.applied, miss, made.tools.listings)


def _images_refused(refused: EngineRefused) -> InvalidRequest:
    """Return the client's error if the engine refuses a prompt with images: clients continue without them (CC-8)."""
    reason = f"the engine does not accept the images of this conversation: {refused.message}"
    return InvalidRequest.at("messages", reason + capability_rejected("image"))
