"""`POST /v1/chat/completions` and `POST /v1/completions`, in the OpenAI format."""

import secrets
import time
from array import array

from starlette.requests import Request

from dragoman.api.base import check_known, parse, unknown_fields
from dragoman.api.openai.completions import ChatEvent, CompletionEvent
from dragoman.api.openai.encoder import ChatEncoder, CompletionEncoder
from dragoman.api.openai.formats import CHAT, COMPLETIONS
from dragoman.api.openai.lowering import lower_chat, sampling
from dragoman.api.openai.request import ChatRequest, CompletionRequest
from dragoman.api.openai.rules import check_chat, check_completion, check_strict_input
from dragoman.conversation import AnswerPolicy, Conversation, Dialogue
from dragoman.engines import Routing
from dragoman.errors import DragomanError, EngineRefused, InvalidRequest
from dragoman.generation import Generation
from dragoman.limits import Limits
from dragoman.observability import Record
from dragoman.server.endpoint import GeneratingEndpoint
from dragoman.server.incoming import Incoming, IncomingCompletion, IncomingConversation, Prepared
from dragoman.server.preparation import Read, in_worker, is_large
from dragoman.server.served_model import ServedModel, Settings

_MANY_IDS = 20_000
_DEFAULT_COMPLETION = 16
"""Tokens of a completion if the request sets no limit: the default of the API."""


class ChatCompletions(GeneratingEndpoint[ChatEvent]):
    """Answers a conversation."""

    api_format = CHAT

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await IncomingConversation.of(read_chat, body, self.registry.settings)

    def encoder(self, read: Read) -> ChatEncoder:
        """Return the encoder of one answer."""
        return ChatEncoder(_id("chatcmpl"), int(time.time()), read.model, usage=read.usage)


class Completions(GeneratingEndpoint[CompletionEvent]):
    """Continues a text, without a chat template."""

    api_format = COMPLETIONS

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request, which needs no model. Raises `InvalidRequest`."""
        limits = self.registry.settings.limits
        if is_large(body) or body.count(b",") > _MANY_IDS:
            read, packed = await in_worker(read_completion, body, limits)
        else:
            read, packed = read_completion(body, limits)
        return IncomingCompletion(read, packed if isinstance(packed, str) else packed.tolist())

    def encoder(self, read: Read) -> CompletionEncoder:
        """Return the encoder of one answer."""
        return CompletionEncoder(_id("cmpl"), int(time.time()), read.model, usage=read.usage)

    async def generation(self, made: Prepared, model: ServedModel, routing: Routing, record: Record) -> Generation:
        """Return the generation that continues the text or the token ids. Raises what `generate_plain` raises."""
        record.notes = model.feasibility.notes(made.read.conversation.policy, routing.affinity)
        return await model.generate_plain(made.plain, made.read.conversation.policy, routing)

    def refusal(self, made: Prepared, refused: EngineRefused) -> DragomanError:
        """Return the client's error if the engine refuses token ids, which reach it unchanged."""
        if isinstance(made.plain, str):
            return refused
        return InvalidRequest.at("prompt", f"the engine does not accept these token ids: {refused.message}")


def read_chat(body: bytes, settings: Settings) -> Read:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    wanted = parse(ChatRequest, body)
    check_chat(wanted, settings.limits)
    if settings.strict:
        check_known(wanted)
    if settings.strict_input:
        check_strict_input(wanted)
    return _read(wanted, lower_chat(wanted))


def read_completion(body: bytes, limits: Limits) -> "tuple[Read, str | array[int]]":
    """Parse and check a request; the prompt is text or token ids. Raises `InvalidRequest`."""
    wanted = parse(CompletionRequest, body)
    check_completion(wanted, limits)
    policy = AnswerPolicy(
        sampling=sampling(wanted),
        stop_sequences=wanted.stops,
        max_tokens=wanted.max_tokens or _DEFAULT_COMPLETION,
    )
    prompt = wanted.only_prompt
    return _read(wanted, Conversation(Dialogue(), policy)), prompt if isinstance(prompt, str) else array("I", prompt)


def _read(wanted: ChatRequest | CompletionRequest, conversation: Conversation) -> Read:
    return Read(
        model=wanted.model,
        stream=bool(wanted.stream),
        conversation=conversation,
        unknown=list(unknown_fields(wanted)),
        named={"prompt_cache_key": wanted.prompt_cache_key, "user": wanted.user},
        usage=_wants_usage(wanted),
    )


def _wants_usage(wanted: ChatRequest | CompletionRequest) -> bool:
    """Whether the response has token counts: an unstreamed one always, a stream if the request asks for them."""
    return not wanted.stream or bool(wanted.stream_options and wanted.stream_options.include_usage)


def _id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"
