"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from typing import TypeVar

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.conversation import Conversation
from dragoman.conversation.lowering import lower
from dragoman.errors import InvalidRequest
from dragoman.observe import Record
from dragoman.server.body import read_json_body
from dragoman.server.disconnect import until_disconnect
from dragoman.server.respond import send_json
from dragoman.server.service import Gateway
from dragoman.server.stream import EventStream, performed
from dragoman.wire import rules
from dragoman.wire.base import parse, unknown_fields
from dragoman.wire.encoder import MessageEncoder
from dragoman.wire.events import Event
from dragoman.wire.fold import fold
from dragoman.wire.request import CountTokensRequest, MessagesRequest, PromptRequest

VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
STRICT_VERSION = "2026-10-21"
_LARGE_BODY = 256 * 1024

R = TypeVar("R", bound=PromptRequest)


class TokenCount(Struct, frozen=True):
    """The answer of `count_tokens` (CNT-1)."""

    input_tokens: int


class _PromptEndpoint(ABC):
    """What both endpoints begin with: a body, checked and lowered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        request = Request(scope, receive)
        body = await read_json_body(request)
        await until_disconnect(receive, self.answer(request, body, send))

    @abstractmethod
    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer, or raise; cancelled where the client leaves."""

    async def _read(self, request: Request, body: bytes, kind: type[R]) -> tuple[R, Conversation]:
        """Parse, check, lower. Raises `InvalidRequest`. A large body is read beside the event loop, not on it."""
        version = _version(request.headers)
        betas = _betas(request.headers)
        strict = self._gateway.settings.strict
        if len(body) > _LARGE_BODY:
            return await asyncio.to_thread(_read, body, kind, betas, strict, version)
        return _read(body, kind, betas, strict, version)


class Messages(_PromptEndpoint):
    """Answer a conversation, whole or as a stream (TRN-3)."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Raises every refusal before the first byte (ERR-8)."""
        record: Record = request.state.record
        wanted, conversation = await self._read(request, body, MessagesRequest)
        record.model, record.stream = wanted.model, bool(wanted.stream)
        record.unknown = self._gateway.unheard([*unknown_fields(wanted), *(f"beta {name}" for name in _betas(request.headers))])
        service = await self._gateway.service()
        adapter = self._gateway.resolve(service, wanted.model)
        with service.admission.admitted():
            prompt = await service.prompt(conversation)
            record.notes = prompt.notes
            turn = service.turn(conversation, prompt, adapter)
            record.diverged = service.lineage.follow(conversation, prompt)
            record.tally = turn.tally
            encoder = MessageEncoder(f"msg_{secrets.token_hex(12)}", wanted.model)
            if wanted.stream:
                await EventStream(turn, encoder, service.admission, record).run(send)
                return
            events: list[Event] = [encoder.start(turn.tally)]
            async with performed(turn, service.admission, record) as parts:
                async for part in parts:
                    record.note(part)
                    events.extend(encoder.encode(part))
            await send_json(send, fold(events))


class CountTokens(_PromptEndpoint):
    """Count the prompt that a message would send: the same one (CNT-2)."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Raises what the message would raise."""
        record: Record = request.state.record
        wanted, conversation = await self._read(request, body, CountTokensRequest)
        record.model = wanted.model
        service = await self._gateway.service()
        self._gateway.resolve(service, wanted.model)
        await send_json(send, TokenCount(len((await service.prompt(conversation)).tokens)))


def _read(body: bytes, kind: type[R], betas: frozenset[str], strict: bool, version: str) -> tuple[R, Conversation]:
    wanted = parse(kind, body)
    if strict:
        rules.check_strict(wanted, current=version == STRICT_VERSION)
    rules.check(wanted, betas)
    return wanted, lower(wanted)


def _betas(headers: Headers) -> frozenset[str]:
    """The names in `anthropic-beta`, which may come several times. Any name is accepted (BETA-1)."""
    names = (name.strip() for value in headers.getlist("anthropic-beta") for name in value.split(","))
    return frozenset(name for name in names if name)


def _version(headers: Headers) -> str:
    """Any listed version will do (TRN-8)."""
    version = headers.get("anthropic-version")
    if version is None:
        raise InvalidRequest.at("anthropic-version", "header is required")
    if version not in VERSIONS:
        raise InvalidRequest(f'anthropic-version: "{version}" is not a valid version')
    return version
