"""Base of the endpoints that take a prompt: read the body, run the generation, send it in the endpoint's API format."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.base import capability_rejected
from dragoman.api.format import ApiFormat, Encoder
from dragoman.engines import Routing
from dragoman.errors import DragomanError, EngineRefused, InvalidRequest
from dragoman.generation import Generation
from dragoman.media.outcomes import needs_reading
from dragoman.observability import Record
from dragoman.prompt import Prompt
from dragoman.server.affinity import affinity
from dragoman.server.body import read_json_body
from dragoman.server.disconnect import until_disconnect
from dragoman.server.preparation import Facts, Read, Reader, facts_of, in_text, is_large, prepared
from dragoman.server.rate_limits import SPENDING, Spending
from dragoman.server.registry import ModelRegistry
from dragoman.server.served_model import ServedModel
from dragoman.server.stream import EventStream, ResponseContext, send_message

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was read, with its facts. `prompt` is set if a worker process rendered it.

    `plain` is the text or the token ids of a completion, which has no conversation and no facts.
    """

    read: Read
    facts: Facts | None = None
    prompt: Prompt | None = None
    plain: str | Sequence[int] = ""

    async def prompt_of(self, model: ServedModel) -> Prompt:
        """Return the prompt, for counting and generating (CNT-2). Raises `InvalidRequest`, and what building raises."""
        if self.prompt is None:
            return await model.prompt(self.read.conversation)
        model.check(self.read.conversation.policy, self.prompt)
        return self.prompt


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

    async def model(self, record: Record) -> tuple[ServedModel, str | None]:
        """Return the model and the adapter that the request names. Raises `EngineUnavailable`, `UnknownModel`."""
        model = await self.registry.model()
        return model, self.registry.resolve(model, record.model)

    async def prepare(self, record: Record, reader: Reader, body: bytes, *options: Any) -> Prepared:
        """Read a body here; read a large one, or one with attachments, and render its prompt in a worker process.

        Raises `InvalidRequest`; without attachments that must be read, for a small body only if reading fails.
        """
        read, facts, prompt = await self._read(reader, body, options)
        record.content = facts.content
        self.record_request(record, read)
        return Prepared(read, facts, prompt)

    async def _read(self, reader: Reader, body: bytes, options: Sequence[Any]) -> tuple[Read, Facts, Prompt | None]:
        if is_large(body):
            model = await self.registry.model()
        else:
            read = reader(body, *options)
            if not read.conversation.dialogue.attachments:
                return read, facts_of(read.conversation), None
            model = await self.registry.model()
            if not needs_reading(read.conversation.dialogue, model.media.sight):
                read = in_text(read, model.media.sight)
                return read, facts_of(read.conversation), None
        return await prepared(reader, body, options, model.prompts, model.media)

    def record_request(self, record: Record, read: Read) -> None:
        """Record the model, the stream flag and the unknown fields of a request for its log entry."""
        record.model, record.stream = read.model, read.stream
        record.unknown = self.registry.new_names(read.unknown)


class GeneratingEndpoint(Endpoint, Generic[E]):
    """An endpoint that answers with a generation, in its API format."""

    api_format: ApiFormat[E]

    @abstractmethod
    async def read(self, request: Request, body: bytes) -> Prepared:
        """Read and prepare a request. Raises `InvalidRequest`."""

    @abstractmethod
    def encoder(self, read: Read) -> Encoder[E]:
        """Return the encoder of one answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, unless its key has used up a limit: then the body is not read. Raises `RateLimited`."""
        scope["state"][SPENDING].begin()
        await super().__call__(scope, receive, send)

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request; every refusal is raised before the first byte (ERR-8)."""
        record: Record = request.state.record
        spending: Spending = request.state.spending
        made = await self.read(request, body)
        model, adapter = await self.model(record)
        routing = Routing(adapter, affinity(request.headers, **made.read.named))
        with model.admission.admitted():
            generation = await self.generation(made, model, routing, record)
            spending.reserve(generation.counts.prompt)
            response = ResponseContext(generation, self.api_format, self.encoder(made.read), record)
            try:
                if record.stream:
                    await EventStream(response, model.admission).run(send)
                else:
                    await send_message(response, model.admission, send)
            except EngineRefused as refused:
                raise (_images_refused(refused) if generation.has_images else self.refusal(made, refused)) from None

    def refusal(self, made: Prepared, refused: EngineRefused) -> DragomanError:
        """Return the error to raise if the engine refuses a request."""
        return refused

    async def generation(self, made: Prepared, model: ServedModel, routing: Routing, record: Record) -> Generation:
        """Return the generation of a request. Raises what the prompt raises, and `PromptTooLong`."""
        prompt = await made.prompt_of(model)
        record.notes = [*prompt.notes, *model.feasibility.notes(made.read.conversation.policy, routing.affinity)]
        generation = model.generate(made.read.conversation.policy, prompt, routing)
        await generation.prepare()
        if made.facts is not None:
            record.diverged = model.prefix_tracker.follow(made.facts.trail, prompt)
        return generation


def _images_refused(refused: EngineRefused) -> InvalidRequest:
    """Return the client's error if the engine refuses a prompt with images: clients continue without them (CC-8)."""
    reason = f"the engine does not accept the images of this conversation: {refused.message}"
    return InvalidRequest.at("messages", reason + capability_rejected("image"))
