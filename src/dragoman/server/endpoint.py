"""Base of the endpoints that take a prompt: read the body, run the generation, send it in the endpoint's API format."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.base import capability_rejected
from dragoman.api.format import ApiFormat, Encoder
from dragoman.engines import Routing
from dragoman.errors import DragomanError, EngineRefused, InvalidRequest
from dragoman.generation import Generation
from dragoman.observability import Record
from dragoman.server.affinity import affinity
from dragoman.server.body import read_json_body
from dragoman.server.choices import Choices, each
from dragoman.server.disconnect import until_disconnect
from dragoman.server.early_stream import LOADING_PATIENCE, EarlyStream
from dragoman.server.incoming import Incoming, Prepared
from dragoman.server.preparation import Read
from dragoman.server.rate_limits import SPENDING, Spending
from dragoman.server.registry import ModelRegistry
from dragoman.server.served_model import ServedModel
from dragoman.server.stream import EventStream, ResponseContext, send_message

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
        made = await incoming.prepared(model)
        record.model, record.stream = made.read.model, made.read.stream
        record.content = made.facts.content if made.facts else {}
        record.unknown = self.registry.new_names(made.read.unknown)
        return made

    async def count(self, record: Record, incoming: Incoming) -> int:
        """Return the length in tokens of the prompt of a request. Raises what generating would raise."""
        record.ask(incoming.head.model, stream=False)
        async with self.registry.use(record.model, LOADING_PATIENCE) as (model, _):
            record.use(model.info.id)
            made = await self.prepare(record, incoming, model)
            return (await made.prompt_of(model)).length


class GeneratingEndpoint(Endpoint, Generic[E]):
    """An endpoint that answers with a generation, in its API format."""

    api_format: ApiFormat[E]

    @abstractmethod
    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""

    @abstractmethod
    def encoders(self, read: Read) -> Sequence[Encoder[E]]:
        """Return an encoder for each choice of the answer; most formats have one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, unless its key has used up a limit: then the body is not read. Raises `RateLimited`."""
        scope["state"][SPENDING].begin()
        await super().__call__(scope, receive, send)

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request; every refusal is raised before the first byte (ERR-8)."""
        record: Record = request.state.record
        spending: Spending = request.state.spending
        incoming = await self.read(request, body)
        record.ask(incoming.head.model, stream=bool(incoming.head.stream))
        early = EarlyStream(send, self.api_format, record)
        async with early, self.registry.use(record.model, early.patience) as (model, adapter):
            early.settle()
            record.use(model.info.id)
            made = await self.prepare(record, incoming, model)
            routing = Routing(adapter, affinity(request.headers, **made.read.named))
            with model.admission.admitted():
                generations = await self.generations(made, model, routing, record)
                choices = Choices(generations, made.read.choices, together=model.found.kind.shares_prompts)
                spending.reserve(choices.counts.prompt)
                encoders = self.encoders(made.read)
                keep = partial(self.keep, encoders[0], record)
                response = ResponseContext(choices, self.api_format, encoders, record, keep)
                try:
                    if record.stream:
                        await EventStream(response, model.admission).run(early.send)
                    else:
                        await send_message(response, model.admission, send)
                except EngineRefused as refused:
                    raise (_images_refused(refused) if choices.has_images else self.refusal(made, refused)) from None
            model.speed.add(*record.decoded)

    async def keep(self, encoder: Encoder[E], record: Record) -> None:
        """Keep an answer that is complete, if the API has that."""

    def refusal(self, made: Prepared, refused: EngineRefused) -> DragomanError:
        """Return the error to raise if the engine refuses a request."""
        return refused

    async def generations(self, made: Prepared, model: ServedModel, routing: Routing, record: Record) -> Sequence[Generation]:
        """Return the generations of a request. Raises what the prompt raises, and `PromptTooLong`."""
        prompt = await made.prompt_of(model)
        record.notes = [*prompt.notes, *model.feasibility.notes(made.read.conversation.policy, routing.affinity)]
        policies = each(made.read.conversation.policy, made.read.choices)
        generations = [model.generate(policy, prompt, routing) for policy in policies]
        await generations[0].prepare()
        if made.facts is not None:
            record.diverged = model.prefix_tracker.follow(made.facts.trail, prompt)
        return generations


def _images_refused(refused: EngineRefused) -> InvalidRequest:
    """Return the client's error if the engine refuses a prompt with images: clients continue without them (CC-8)."""
    reason = f"the engine does not accept the images of this conversation: {refused.message}"
    return InvalidRequest.at("messages", reason + capability_rejected("image"))
