"""`GET /api/models` and `POST /api/models/{id}/stop`: what is loaded, and how busy it is."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from dragoman.errors import ForeignHost
from dragoman.server.model_entry import ModelEntry
from dragoman.server.origins import is_allowed_origin
from dragoman.server.registry import ModelRegistry
from dragoman.server.respond import send_json
from dragoman.server.stay import State

STOP_SECONDS: Final = 60.0
"""How long the response to a stop waits for the requests that run; after that, the model is still unloading."""


class ModelStatus(Struct, frozen=True):
    """The status of one model. What is not known, or has no meaning while it is not loaded, is null.

    `reason` is why it failed to load. `engine` and `computes` are for people: what runs it, and on which device. `window` is in
    tokens. `busy` of the `slots` answer a request, `waiting` requests wait for a slot or for the model. `conversations` are in
    the KV cache. `tokens_per_second` is the recent speed of one answer. `memory` is in bytes, `keep_alive_left` the seconds
    until it is unloaded.
    """

    id: str
    aliases: Sequence[str]
    tiers: Sequence[str]
    state: State
    reason: str | None
    engine: str | None
    computes: str | None
    window: int | None
    slots: int | None
    busy: int
    waiting: int
    conversations: int | None
    tokens_per_second: float | None
    memory: int
    keep_alive_left: float | None
    pinned: bool


class ModelStatuses(Struct, frozen=True):
    """The status of all models, the default one first. `memory` is how many bytes they may take together, null for any."""

    models: Sequence[ModelStatus]
    memory: int | None


class StatusList:
    """Answers with the status of all models."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        statuses = [status_of(self._registry, entry) for entry in self._registry.entries]
        await send_json(send, ModelStatuses(statuses, self._registry.residents.memory))


class StopModel:
    """Unloads a model when the requests that use it are complete, and answers with its status."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, at the latest after `STOP_SECONDS`. Raises `UnknownModel`, `ForeignHost`."""
        origin = Headers(scope=scope).get("origin", "")
        if not is_allowed_origin(origin, self._registry.settings.cors_origins):  # browsers send this without asking first
            raise ForeignHost(f"origin: {origin} may not unload models; --cors-origin adds origins")
        entry = self._registry.find_exactly(scope["path_params"]["model"])
        await self._registry.residents.stop(entry, STOP_SECONDS)
        await send_json(send, status_of(self._registry, entry))


def status_of(registry: ModelRegistry, entry: ModelEntry) -> ModelStatus:
    """Return the status of a model."""
    residents = registry.residents
    described, stay = residents.described(entry), residents.stay(entry)
    model = stay.model if stay else None
    active = model.admission.active if model else stay.users if stay else 0
    busy = model.admission.running if model else 0
    found = described.found.found if described else {}
    return ModelStatus(
        id=described.info.id if described else entry.id or "",
        aliases=entry.aliases,
        tiers=entry.tiers,
        state=residents.state(entry),
        reason=residents.failure(entry),
        engine=found.get("engine", described.found.kind) if described else None,
        computes=found.get("computes"),
        window=described.found.window if described else entry.window,
        slots=described.found.slots if described else None,
        busy=busy,
        waiting=active - busy,
        conversations=model.engine.conversations if model else None,
        tokens_per_second=model.speed.tokens_per_second if model else None,
        memory=entry.memory,
        keep_alive_left=stay.seconds_left if stay else None,
        pinned=entry.pinned,
    )
