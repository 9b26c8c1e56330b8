"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import asyncio
import secrets
from typing import TypeVar

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Send

from dragoman.conversation import Conversation
from dragoman.conversation.lowering import lower
from dragoman.errors import InvalidRequest
from dragoman.observe import Record
from dragoman.observe.census import census
from dragoman.server.affinity import affinity
from dragoman.server.endpoint import LARGE_BODY, Endpoint, turn_of
from dragoman.server.respond import send_json
from dragoman.server.service import Settings
from dragoman.wire import rules
from dragoman.wire.base import parse, unknown_fields
from dragoman.wire.door import MESSAGES
from dragoman.wire.encoder import MessageEncoder
from dragoman.wire.request import CountTokensRequest, MessagesRequest, PromptRequest

VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
STRICT_VERSION = "2026-10-21"

R = TypeVar("R", bound=PromptRequest)


class TokenCount(Struct, frozen=True):
    """The answer of `count_tokens` (CNT-1)."""

    input_tokens: int


class _MessagesEndpoint(Endpoint):
    """What both endpoints begin with: a request, checked and lowered."""

    async def _read(self, request: Request, body: bytes, kind: type[R]) -> tuple[R, Conversation]:
        """Parse, check, lower. Raises `InvalidRequest`."""
        version = _version(request.headers)
        betas = _betas(request.headers)
        settings = self.gateway.settings
        if len(body) > LARGE_BODY:
            wanted, conversation = await asyncio.to_thread(_read, body, kind, betas, settings, version)
        else:
            wanted, conversation = _read(body, kind, betas, settings, version)
        record: Record = request.state.record
        record.model, record.content = wanted.model, census(conversation)
        return wanted, conversation


class Messages(_MessagesEndpoint):
    """Answer a conversation, whole or as a stream (TRN-3)."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Raises every refusal before the first byte (ERR-8)."""
        record: Record = request.state.record
        wanted, conversation = await self._read(request, body, MessagesRequest)
        record.stream = bool(wanted.stream)
        record.unknown = self.gateway.unheard([*unknown_fields(wanted), *(f"beta {name}" for name in _betas(request.headers))])
        encoder = MessageEncoder(f"msg_{secrets.token_hex(12)}", wanted.model)
        together = affinity(request.headers, user_id=wanted.metadata.user_id if wanted.metadata else None)
        await self.tell(turn_of(conversation, record, together), MESSAGES, encoder, record, send)


class CountTokens(_MessagesEndpoint):
    """Count the prompt that a message would send: the same one (CNT-2)."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Raises what the message would raise."""
        _, conversation = await self._read(request, body, CountTokensRequest)
        service, _ = await self.service(request.state.record)
        await send_json(send, TokenCount(len((await service.prompt(conversation)).tokens)))


def _read(body: bytes, kind: type[R], betas: frozenset[str], settings: Settings, version: str) -> tuple[R, Conversation]:
    wanted = parse(kind, body)
    if settings.strict:
        rules.check_strict(wanted, current=version == STRICT_VERSION)
    rules.check(wanted, betas, settings.limits)
    if settings.strict_input:
        rules.check_strict_input(wanted)
    return wanted, lower(wanted, betas)


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
