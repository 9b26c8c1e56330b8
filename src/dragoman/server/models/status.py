"""`GET /api/models` and `POST /api/models/{id}/stop`: what is loaded, and how busy it is."""

import asyncio
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from dragoman.errors import ForeignHost
from dragoman.server.access.origins import is_allowed_origin
from dragoman.server.models.entry import ModelEntry
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.stay import State
from dragoman.server.transport.respond import send_json

MODELS: Final = "/api/models"
_PRESENCE: Final = (State.LOADED, State.LOADING, State.UNLOADING, State.FAILED, State.UNLOADED)
"""The states of a model, from the one in which most of its workers can use it."""
_SLACK: Final = 5.0
"""Seconds that the answer of another worker may be later than its own limit."""
N = TypeVar("N", int, float)

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
    """Answers with the status of all models, in all workers."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await send_json(send, await self._statuses(scope))

    async def _statuses(self, scope: Scope) -> ModelStatuses:
        others = await self._registry.siblings.ask(scope, MODELS)
        return merged(statuses_of(self._registry), [msgspec.json.decode(other.body, type=ModelStatuses) for other in others])


class StopModel:
    """Unloads a model in all workers when the requests that use it are complete, and answers with its status."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, at the latest after `STOP_SECONDS`. Raises `UnknownModel`, `ForeignHost`."""
        origin = Headers(scope=scope).get("origin", "")
        if not is_allowed_origin(origin, self._registry.settings.cors_origins):  # browsers send this without asking first
            raise ForeignHost(f"origin: {origin} may not unload models; --cors-origin adds origins")
        entry = self._registry.find_exactly(scope["path_params"]["model"])
        others, _ = await asyncio.gather(
            self._registry.siblings.ask(scope, patience=STOP_SECONDS + _SLACK),
            self._registry.residents.stop(entry, STOP_SECONDS),
        )
        statuses = [msgspec.json.decode(other.body, type=ModelStatus) for other in others]
        await send_json(send, _merged([status_of(self._registry, entry), *statuses]))


def merged(own: ModelStatuses, others: Sequence[ModelStatuses]) -> ModelStatuses:
    """Return the status of the models in all workers, given those of each; only the own ones are listed."""
    workers = [own, *others]
    of = [[status for worker in workers for status in worker.models if status.id == model.id] for model in own.models]
    return ModelStatuses([_merged(statuses) for statuses in of], own.memory)


def _merged(statuses: Sequence[ModelStatus]) -> ModelStatus:
    """Return the status of one model in all workers: sums, means, and the state in which it is most present."""
    if len(statuses) == 1:
        return statuses[0]
    first = min(statuses, key=lambda status: _PRESENCE.index(status.state))
    return replace(
        first,
        slots=_present(sum, [status.slots for status in statuses]),
        busy=sum(status.busy for status in statuses),
        waiting=sum(status.waiting for status in statuses),
        conversations=_present(sum, [status.conversations for status in statuses]),
        tokens_per_second=_present(fmean, [status.tokens_per_second for status in statuses]),
        keep_alive_left=_present(max, [status.keep_alive_left for status in statuses]),
    )


def _present(function: Callable[[Sequence[N]], N], values: Sequence[N | None]) -> N | None:
    """Apply a function to the values that are there; None if there are none."""
    found = [value for value in values if value is not None]
    return function(found) if found else None


def statuses_of(registry: ModelRegistry) -> ModelStatuses:
    """Return the status of all models."""
    return ModelStatuses([status_of(registry, entry) for entry in registry.entries], registry.residents.memory)


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
