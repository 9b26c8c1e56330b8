"""The second door: `POST /v1/chat/completions` and `POST /v1/completions`, in OpenAI's shape."""

import asyncio
import secrets
import time

from starlette.requests import Request
from starlette.types import Send

from dragoman.conversation import Conversation
from dragoman.conversation.chat import lower_chat, sampling
from dragoman.errors import EngineRefused, InvalidRequest
from dragoman.generation import Turn
from dragoman.observe import Record
from dragoman.observe.census import census
from dragoman.server.affinity import affinity
from dragoman.server.endpoint import LARGE_BODY, Endpoint, turn_of
from dragoman.server.service import Service, Settings
from dragoman.wire.base import check_known, parse, unknown_fields
from dragoman.wire.openai.doors import CHAT, COMPLETIONS
from dragoman.wire.openai.encoder import ChatEncoder, CompletionEncoder
from dragoman.wire.openai.request import ChatRequest, CompletionRequest
from dragoman.wire.openai.rules import check_chat, check_completion, check_strict_input

_DEFAULT_COMPLETION = 16
"""Tokens of a completion where the request names no limit: the API's own default."""


class ChatCompletions(Endpoint):
    """Answer a conversation."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Raises every refusal before the first byte."""
        settings = self.gateway.settings
        read = asyncio.to_thread(_read_chat, body, settings) if len(body) > LARGE_BODY else None
        wanted, conversation = await read if read else _read_chat(body, settings)
        record: Record = request.state.record
        record.content = census(conversation)
        _note(record, wanted, self.gateway.unheard(unknown_fields(wanted)))
        encoder = ChatEncoder(_id("chatcmpl"), int(time.time()), wanted.model, usage=_wants_usage(wanted))
        await self.tell(turn_of(conversation, record, _affinity(request, wanted)), CHAT, encoder, record, send)


class Completions(Endpoint):
    """Go on from a text, without a template."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Raises every refusal before the first byte."""
        wanted = parse(CompletionRequest, body)
        check_completion(wanted, self.gateway.settings.limits)
        record: Record = request.state.record
        _note(record, wanted, self.gateway.unheard(unknown_fields(wanted)))
        limits = Conversation(
            turns=(),
            sampling=sampling(wanted),
            stop_sequences=wanted.stops,
            max_tokens=wanted.max_tokens or _DEFAULT_COMPLETION,
        )
        encoder = CompletionEncoder(_id("cmpl"), int(time.time()), wanted.model, usage=_wants_usage(wanted))

        async def make(service: Service, adapter: str | None) -> Turn:
            together = _affinity(request, wanted)
            record.notes = service.feasibility.notes(limits, together)
            return await service.plain_turn(wanted.only_prompt, limits, adapter, together)

        try:
            await self.tell(make, COMPLETIONS, encoder, record, send)
        except EngineRefused as refused:
            if isinstance(wanted.only_prompt, str):
                raise
            raise InvalidRequest.at("prompt", f"the engine does not take these token ids: {refused.message}") from refused


def _read_chat(body: bytes, settings: Settings) -> tuple[ChatRequest, Conversation]:
    wanted = parse(ChatRequest, body)
    check_chat(wanted, settings.limits)
    if settings.strict:
        check_known(wanted)
    if settings.strict_input:
        check_strict_input(wanted)
    return wanted, lower_chat(wanted)


def _note(record: Record, wanted: ChatRequest | CompletionRequest, unknown: list[str]) -> None:
    record.model, record.stream, record.unknown = wanted.model, bool(wanted.stream), unknown


def _affinity(request: Request, wanted: ChatRequest | CompletionRequest) -> str | None:
    return affinity(request.headers, prompt_cache_key=wanted.prompt_cache_key, user=wanted.user)


def _wants_usage(wanted: ChatRequest | CompletionRequest) -> bool:
    """An unstreamed answer always says its counts; a stream where it is asked to."""
    return not wanted.stream or bool(wanted.stream_options and wanted.stream_options.include_usage)


def _id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"
