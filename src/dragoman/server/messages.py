"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import secrets
from collections.abc import Sequence

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Send

from dragoman.api.anthropic import rules
from dragoman.api.anthropic.encoder import MessageEncoder
from dragoman.api.anthropic.events import Event
from dragoman.api.anthropic.formats import MESSAGES
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest, PromptRequest
from dragoman.api.base import parse, unknown_fields
from dragoman.errors import InvalidRequest
from dragoman.server.endpoint import Endpoint, GeneratingEndpoint
from dragoman.server.incoming import Incoming, IncomingConversation
from dragoman.server.preparation import Read
from dragoman.server.respond import send_json
from dragoman.server.served_model import Settings

VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})
STRICT_VERSION = "2026-10-21"


class TokenCount(Struct, frozen=True):
    """The response of `count_tokens` (CNT-1)."""

    input_tokens: int


class Messages(GeneratingEndpoint[Event]):
    """Answers a conversation, whole or as a stream (TRN-3)."""

    api_format = MESSAGES

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await _read(request, body, MessagesRequest, self.registry.settings)

    def encoders(self, read: Read) -> Sequence[MessageEncoder]:
        """Return the encoder of the message."""
        return [MessageEncoder(f"msg_{secrets.token_hex(12)}", read.model)]


class CountTokens(Endpoint):
    """Counts the tokens of the prompt that a message would send (CNT-2)."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request. Raises what the message would raise."""
        incoming = await _read(request, body, CountTokensRequest, self.registry.settings)
        await send_json(send, TokenCount(await self.count(request.state.record, incoming)))


async def _read(request: Request, body: bytes, kind: type[PromptRequest], settings: Settings) -> Incoming:
    version, betas = _version(request.headers), _betas(request.headers)
    return await IncomingConversation.of(read_messages, body, kind, betas, settings, version)


def read_messages(body: bytes, kind: type[PromptRequest], betas: frozenset[str], settings: Settings, version: str) -> Read:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    wanted = parse(kind, body)
    if settings.strict:
        rules.check_strict(wanted, current=version == STRICT_VERSION)
    rules.check(wanted, betas, settings.limits)
    return Read(
        model=wanted.model,
        stream=bool(wanted.stream),
        conversation=lower(wanted, betas),
        unknown=[*unknown_fields(wanted), *(f"beta {name}" for name in betas)],
        named={"user_id": wanted.metadata.user_id if wanted.metadata else None},
    )


def _betas(headers: Headers) -> frozenset[str]:
    """Return the names in `anthropic-beta`, which may be repeated. Any name is accepted (BETA-1)."""
    names = (name.strip() for value in headers.getlist("anthropic-beta") for name in value.split(","))
    return frozenset(name for name in names if name)


def _version(headers: Headers) -> str:
    """Return the API version. Raises `InvalidRequest` unless it is a known one (TRN-8)."""
    version = headers.get("anthropic-version")
    if version is None:
        raise InvalidRequest.at("anthropic-version", "header is required")
    if version not in VERSIONS:
        raise InvalidRequest(f'anthropic-version: "{version}" is not a valid version')
    return version
