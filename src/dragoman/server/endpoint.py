"""Base of the generating endpoints: read the body, run the generation, send it in the endpoint's API format."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.format import ApiFormat, Encoder
from dragoman.generation import Generation
from dragoman.observability import Record
from dragoman.prompt import Prompt
from dragoman.server.body import read_json_body
from dragoman.server.disconnect import until_disconnect
from dragoman.server.preparation import Facts, Read, Reader, facts_of, is_large, prepared
from dragoman.server.registry import ModelRegistry
from dragoman.server.served_model import ServedModel
from dragoman.server.stream import EventStream, ResponseContext, send_message

E = TypeVar("E")
MakeGeneration = Callable[[ServedModel, str | None], Awaitable[Generation]]
"""Makes a generation of a model, or of the named adapter of it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was read, with the facts of it. `prompt` is set if a worker process rendered it."""

    read: Read
    facts: Facts
    prompt: Prompt | None = None

    async def prompt_of(self, model: ServedModel) -> Prompt:
        """Return the prompt, for counting and generating (CNT-2). Raises `InvalidRequest`, and what building raises."""
        if self.prompt is None:
            return await model.prompt(self.read.conversation)
        model.check(self.read.conversation, self.prompt)
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
        """Read a small body here; read a large one and render its prompt in a worker process, once the model is loaded.

        Raises `InvalidRequest`; for a small body, only if reading fails.
        """
        if is_large(body):
            model = await self.registry.model()
            read, facts, prompt = await prepared(reader, body, options, model.prompts)
            made = Prepared(read, facts, prompt)
        else:
            read = reader(body, *options)
            made = Prepared(read, facts_of(read.conversation))
        record.model, record.stream, record.content = read.model, read.stream, made.facts.content
        record.unknown = self.registry.new_names(read.unknown)
        return made

    async def respond(
        self, make: MakeGeneration, api_format: ApiFormat[E], encoder: Encoder[E], record: Record, send: Send
    ) -> None:
        """Make a generation and send it, as a stream if the record says so. Raises like `answer`."""
        model, adapter = await self.model(record)
        with model.admission.admitted():
            answer = ResponseContext(await make(model, adapter), api_format, encoder, record)
            if record.stream:
                await EventStream(answer, model.admission).run(send)
            else:
                await send_message(answer, model.admission, send)


def generation_of(made: Prepared, record: Record, affinity: str | None) -> MakeGeneration:
    """Return a function that makes the generation of a request. It raises what the prompt raises, and `PromptTooLong`."""

    async def make(model: ServedModel, adapter: str | None) -> Generation:
        prompt = await made.prompt_of(model)
        record.notes = [*prompt.notes, *model.feasibility.notes(made.read.conversation, affinity)]
        generation = model.generate(made.read.conversation, prompt, adapter, affinity)
        await generation.prepare()
        record.diverged = model.prefix_tracker.follow(made.facts.trail, prompt)
        return generation

    return make
