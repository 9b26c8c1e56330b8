"""`POST /v1/responses`, `/v1/responses/compact` and `/v1/responses/input_tokens`."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace as changed
from starlette.requests import Request
from starlette.types import Send

from dragoman.api.base import check_known, parse, unknown_fields
from dragoman.api.format import Encoder
from dragoman.api.openai.formats import RESPONSES_API
from dragoman.api.openai.responses.compaction import COMPACTIONS, CompactedResponse, CompactionEncoder, kept_messages
from dragoman.api.openai.responses.echo import reply_of
from dragoman.api.openai.responses.encoder import ResponseEncoder
from dragoman.api.openai.responses.events import Event
from dragoman.api.openai.responses.lowering import lower
from dragoman.api.openai.responses.replay import packed
from dragoman.api.openai.responses.request import CompactRequest, CountRequest, PromptRequest, ResponsesRequest
from dragoman.api.openai.responses.rules import check, check_strict_input
from dragoman.api.openai.responses.stored import Kept, Needs, may_need, needs_of, with_kept
from dragoman.conversation.compaction import Compaction
from dragoman.engines import Routing
from dragoman.errors import LostResponse, StorageFailed
from dragoman.observability import Record
from dragoman.server.answering.answers import compacting
from dragoman.server.answering.incoming import QUICK_BODY, Incoming, IncomingConversation, Prepared
from dragoman.server.answering.preparation import Read, is_large
from dragoman.server.answering.rendering import in_worker
from dragoman.server.endpoints.base import Endpoint, GeneratingEndpoint, Planned
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.served_model import ServedModel, Settings
from dragoman.server.transport.respond import send_json
from dragoman.storage.responses import ResponseStore, StoredItem, StoredResponse

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = Compaction(tokens=0, pause=True, quotes=False)
_encode = msgspec.json.Encoder().encode


class InputTokenCount(Struct, frozen=True, tag_field="object", tag="response.input_tokens"):
    """The response of `input_tokens`."""

    input_tokens: int


class Responses(GeneratingEndpoint[Event]):
    """Answers a conversation, and keeps the response."""

    api_format = RESPONSES_API

    def __init__(self, registry: ModelRegistry, store: ResponseStore) -> None:
        super().__init__(registry)
        self._store = store

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await _incoming(self, self._store, request, body, ResponsesRequest)

    def encoders(self, read: Read, planned: Planned) -> Sequence[ResponseEncoder]:
        """Return the encoder of the response."""
        return [ResponseEncoder(read.reply, _now, planned.listings)]

    async def keep(self, encoder: Encoder[Event], record: Record) -> None:
        """Keep the response; where that fails, it is sent all the same."""
        assert isinstance(encoder, ResponseEncoder)
        response = encoder.response
        if not response.store:
            return
        stored = StoredResponse(
            response.id,
            record.key,
            response.previous_response_id,
            _encode(changed(response, output=())),
            [StoredItem(item.id, item.item) for item in encoder.reply.given],
            [StoredItem(item.id, _encode(item)) for item in response.output],
            await asyncio.to_thread(packed, encoder.sent),
        )
        try:
            await self._store.save(stored)
        except StorageFailed as error:
            _LOG.warning("%s is not kept: %s", response.id, error)


class Compact(GeneratingEndpoint[CompactedResponse]):
    """Answers with a summary of the conversation, which the model writes."""

    api_format = COMPACTIONS

    def __init__(self, registry: ModelRegistry, store: ResponseStore) -> None:
        super().__init__(registry)
        self._store = store

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await _incoming(self, self._store, request, body, CompactRequest)

    def encoders(self, read: Read, planned: Planned) -> Sequence[CompactionEncoder]:
        """Return the encoder of the answer."""
        return [CompactionEncoder(read.reply, _now)]

    async def plan(self, incoming: Incoming, made: Prepared, model: ServedModel, routing: Routing, record: Record) -> Planned:
        """Return the answer that writes the summary. Raises `PromptTooLong`, and as the engine does."""
        read = made.read
        assert read.compaction is not None
        policy, notes = read.conversation.policy, read.conversation.dialogue.notes
        record.notes = [*notes, *model.feasibility.notes(policy, routing.affinity)]
        return Planned([await compacting(read.compaction, made, model, routing)])


class InputTokens(Endpoint):
    """Counts the tokens of the prompt that a response would have."""

    def __init__(self, registry: ModelRegistry, store: ResponseStore) -> None:
        super().__init__(registry)
        self._store = store

    async def answer(self, request: Request, body: bytes, send: Send) -> None:
        """Answer the request. Raises what the response would raise."""
        incoming = await _incoming(self, self._store, request, body, CountRequest)
        await send_json(send, InputTokenCount((await self.count(request.state.record, incoming)).prompt.length))


async def _incoming(
    endpoint: Endpoint, store: ResponseStore, request: Request, body: bytes, kind: type[PromptRequest]
) -> Incoming:
    kept = await _kept(store, request.state.record.key, body) if may_need(body) else Kept()
    settings = endpoint.registry.settings
    large = is_large(body) or is_large(b"".join(kept.history))
    return await IncomingConversation.of(read_responses, body, kind, settings, store.keeps, kept, large=large)


async def _kept(store: ResponseStore, owner: str, body: bytes) -> Kept:
    """Return what a body needs of stored responses. Raises `LostResponse`."""
    needs: Needs = needs_of(body) if len(body) <= QUICK_BODY else await in_worker(needs_of, body)
    items = await store.items(needs.items, owner) if needs.items else {}
    if needs.previous is None:
        return Kept(items=items)
    history = await store.history(needs.previous, owner)
    if history is None:
        raise LostResponse.at("previous_response_id", f"the response {needs.previous[:80]} is not stored")
    return Kept([item.item for item in history], items)


def read_responses(body: bytes, kind: type[PromptRequest], settings: Settings, keeps: bool, kept: Kept) -> Read:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    wanted = with_kept(parse(kind, body), kept)
    check(wanted, settings.limits, settings.server_tools.runs, settings.server_tools.allows_mcp)
    if settings.strict:
        check_known(wanted)
    if settings.strict_input:
        check_strict_input(wanted)
    read = Read(model=wanted.model, stream=False, conversation=lower(wanted), unknown=list(unknown_fields(wanted)))
    match wanted:
        case ResponsesRequest():
            return replace(read, stream=bool(wanted.stream), named=_named(wanted), reply=reply_of(wanted, keeps=keeps))
        case CompactRequest():
            return replace(read, named=_named(wanted), reply=kept_messages(wanted.items), compaction=_AT_ONCE)
        case _:
            return read


def _named(wanted: ResponsesRequest | CompactRequest) -> dict[str, object]:
    return {name: getattr(wanted, name) for name in ("prompt_cache_key", "safety_identifier", "user")}


def _now() -> int:
    return int(time.time())
