"""`GET /v1/models` and `GET /v1/models/{id}`."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.anthropic.models import ModelPage
from dragoman.errors import EngineUnavailable
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.stay import State
from dragoman.server.transport.paging import limit_of
from dragoman.server.transport.respond import send_json

_OK = "ok"
_PATIENCE = 2.0
"""Seconds to wait for the model: clients that discover models time out after three (CC-3)."""


class ModelList:
    """Lists every model under each of its names, loaded or not."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        query = Request(scope, receive).query_params
        await _first_load(self._registry)
        described = [(entry, self._registry.info(entry)) for entry in self._registry.entries]
        models = [replace(info, id=name) for entry, info in described if info for name in self._registry.names(entry)]
        wanted = query.getlist("lifecycle[]") + query.getlist("lifecycle")
        if wanted:
            models = [model for model in models if model.lifecycle in wanted]
        page = ModelPage.of(models, limit_of(query), query.get("after_id"), query.get("before_id"))
        await send_json(send, page)


class ModelDetail:
    """Describes one model; an alias is answered with the canonical id (MOD-6)."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request. Raises `UnknownModel`."""
        await _first_load(self._registry)
        name = scope["path_params"]["model"]
        entry = self._registry.find(name)
        self._registry.adapter(entry, name)
        await send_json(send, self._registry.info(entry))


async def _first_load(registry: ModelRegistry) -> None:
    """Wait for the default model at the start of the server, for a moment. Raises what fails if not even its name is known."""
    loading = registry.load()
    await asyncio.wait({loading}, timeout=_PATIENCE)
    if registry.info(registry.default) is None:
        if not loading.done():
            raise EngineUnavailable("the model is still loading")
        loading.result()


class Health(Struct, frozen=True, omit_defaults=True):
    """The response to a health probe. `engine` are the properties of the default model's engine that were found at startup.

    `models` are the states of all models by their ids, if there are several.
    """

    status: str
    model: str | None = None
    engine: Mapping[str, str] = {}
    models: Mapping[str, State] = {}


class HealthCheck:
    """Answers 200 when a message to the default model would be answered, at once or once it is loaded; 503 otherwise."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        status = self._status()
        residents, entries = self._registry.residents, self._registry.entries
        described = residents.described(self._registry.default)
        health = Health(
            status,
            described.info.id if described else None,
            described.found.found if described else {},
            {str(entry.id): residents.state(entry) for entry in entries} if len(entries) > 1 else {},
        )
        await send_json(send, health, status=HTTPStatus.OK if status == _OK else HTTPStatus.SERVICE_UNAVAILABLE)

    def _status(self) -> str:
        if not self._registry.load().done():
            return State.LOADING
        if model := self._registry.ready:
            return _OK if model.engine.status == "ready" else model.engine.status
        state = self._registry.residents.state(self._registry.default)
        return state if state is State.FAILED else _OK
