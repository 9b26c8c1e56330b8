"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.types import Send

from dragoman.api.anthropic import rules
from dragoman.api.anthropic.context_management import AppliedEdits, OriginalTokens
from dragoman.api.anthropic.diagnostics import CacheMissReason, Diagnostics
from dragoman.api.anthropic.encoder import MessageEncoder
from dragoman.api.anthropic.events import Event
from dragoman.api.anthropic.formats import MESSAGES
from dragoman.api.anthropic.lowering import compaction_of, lower
from dragoman.api.anthropic.offer import net_changes
from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest, PromptRequest
from dragoman.api.base import parse, unknown_fields
from dragoman.errors import DragomanError, EngineRefused, InvalidRequest
from dragoman.server.answering.incoming import Incoming, IncomingConversation, Prepared
from dragoman.server.answering.preparation import Read
from dragoman.server.endpoints.base import Endpoint, GeneratingEndpoint, Planned
from dragoman.server.models.served_model import Settings
from dragoman.server.transport.respond import send_json
from dragoman.server.transport.versions import STRICT_VERSION, betas_of, version_of


class TokenCount(Struct, frozen=True):
    """The response of `count_tokens` (CNT-1, CNT-4)."""

    input_tokens: int
    context_management: OriginalTokens | UnsetType = UNSET


class Messages(GeneratingEndpoint[Event]):
    """Answers a conversation, whole or as a stream (TRN-3)."""

    api_format = MESSAGES

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await _read(request, body, MessagesRequest, self.registry.settings)

    def refusal(self, made: Prepared, refused: EngineRefused) -> DragomanError:
        """Return the client's error if the engine refuses token ids, which reach it unchanged."""
        if made.read.input_ids is None:
            return refused
        return InvalidRequest.at("input_ids", f"the engine does not accept these token ids: {refused.message}")

    def encoders(self, read: Read, planned: Planned) -> Sequence[MessageEncoder]:
        """Return the encoder of the message."""
        miss = planned.cache_miss
        diagnostics = Diagnostics(CacheMissReason(miss.reason.value, miss.tokens or None)) if miss else None
        edits = AppliedEdits.of(planned.applied) if read.reply.edited else UNSET
        report = read.conversation.policy.report
        return [MessageEncoder(read.reply.message_id, read.model, diagnostics, edits, report, read.reply.tool_changes)]


class CountTokens(Endpoint):
    """Counts the tokens of the prompt that a message would send (CNT-2)."""

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request. Raises what the message would raise."""
        incoming = await _read(request, body, CountTokensRequest, self.registry.settings)
        counted = await self.count(request.state.record, incoming)
        edited = OriginalTokens(counted.original) if counted.made.read.reply.edited else UNSET
        await send_json(send, TokenCount(counted.prompt.length, edited))


async def _read(request: Request, body: bytes, kind: type[PromptRequest], settings: Settings) -> Incoming:
    version, betas = version_of(request.headers), betas_of(request.headers)
    return await IncomingConversation.of(read_messages, body, kind, betas, settings, version)


@dataclass(frozen=True, slots=True)
class _Reply:
    """The id of the message, whether it says which context edits were applied, and what a summary says of the tools."""

    message_id: str
    edited: bool
    tool_changes: Sequence[dict[str, Any]] | None


def read_messages(body: bytes, kind: type[PromptRequest], betas: frozenset[str], settings: Settings, version: str) -> Read:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    wanted = parse(kind, body)
    if settings.strict:
        rules.check_strict(wanted, current=version == STRICT_VERSION)
    rules.check(wanted, betas, settings.limits, settings.server_tools.runs, settings.server_tools.allows_mcp)
    asked = wanted.diagnostics
    changes = net_changes(wanted) if wanted.compaction else None
    return Read(
        model=wanted.model,
        stream=bool(wanted.stream),
        conversation=lower(wanted, betas),
        unknown=[*unknown_fields(wanted), *(f"beta {name}" for name in betas)],
        named={"user_id": wanted.metadata.user_id if wanted.metadata else None},
        reply=_Reply(f"msg_{secrets.token_hex(12)}", wanted.context_management is not None, changes),
        compaction=compaction_of(wanted),
        edits=wanted.context_management.neutral if wanted.context_management else (),
        diagnosed=(asked.previous_message_id or "") if asked else None,
        input_ids=wanted.input_ids,
    )
