"""`POST /v1/responses` and `POST /v1/responses/input_tokens`."""

import time
from dataclasses import replace

from msgspec import Struct
from starlette.requests import Request
from starlette.types import Send

from dragoman.api.base import check_known, parse, unknown_fields
from dragoman.api.openai.formats import RESPONSES_API
from dragoman.api.openai.responses.echo import reply_of
from dragoman.api.openai.responses.encoder import ResponseEncoder
from dragoman.api.openai.responses.events import Event
from dragoman.api.openai.responses.lowering import lower
from dragoman.api.openai.responses.request import CountRequest, PromptRequest, ResponsesRequest
from dragoman.api.openai.responses.rules import check, check_strict_input
from dragoman.server.endpoint import Endpoint, GeneratingEndpoint
from dragoman.server.incoming import Incoming, IncomingConversation
from dragoman.server.preparation import Read
from dragoman.server.respond import send_json
from dragoman.server.served_model import Settings


class InputTokenCount(Struct, frozen=True, tag_field="object", tag="response.input_tokens"):
    """The response of `input_tokens`."""

    input_tokens: int


class Responses(GeneratingEndpoint[Event]):
    """Answers a conversation."""

    api_format = RESPONSES_API

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await _incoming(self, body, ResponsesRequest)

    def encoder(self, read: Read) -> ResponseEncoder:
        """Return the encoder of one response."""
        return ResponseEncoder(read.reply, lambda: int(time.time()))


class InputTokens(Endpoint):
    """Counts the tokens of the prompt that a response would have."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request. Raises what the response would raise."""
        incoming = await _incoming(self, body, CountRequest)
        await send_json(send, InputTokenCount(await self.count(request.state.record, incoming)))


async def _incoming(endpoint: Endpoint, body: bytes, kind: type[PromptRequest]) -> Incoming:
    return await IncomingConversation.of(read_responses, body, kind, endpoint.registry.settings)


def read_responses(body: bytes, kind: type[PromptRequest], settings: Settings) -> Read:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    wanted = parse(kind, body)
    check(wanted, settings.limits)
    if settings.strict:
        check_known(wanted)
    if settings.strict_input:
        check_strict_input(wanted)
    read = Read(model=wanted.model, stream=False, conversation=lower(wanted), unknown=list(unknown_fields(wanted)))
    if not isinstance(wanted, ResponsesRequest):
        return read
    named = {name: getattr(wanted, name) for name in ("prompt_cache_key", "safety_identifier", "user")}
    return replace(read, stream=bool(wanted.stream), named=named, reply=reply_of(wanted))
