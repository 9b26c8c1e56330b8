"""`GET /v1/models` and `GET /v1/models/{id}`."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.anthropic.models import ModelPage
from dragoman.errors import EngineUnavailable, InvalidRequest
from dragoman.server.registry import ModelRegistry
from dragoman.server.respond import send_json

_DEFAULT_LIMIT, _MAX_LIMIT = 20, 1000
_DIGITS = 6
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
        page = ModelPage.of(models, _limit(query.get("limit")), query.get("after_id"), query.get("before_id"))
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
    done, _ = await asyncio.wait({registry.load()}, timeout=_PATIENCE)
    if registry.info(registry.default) is None:
        if not done:
            raise EngineUnavailable("the model is still loading")
        registry.load().result()


class Health(Struct, frozen=True, omit_defaults=True):
    """The response to a health probe; `engine` are the properties that were found at startup."""

    status: str
    model: str | None = None
    engine: Mapping[str, str] = {}


class HealthCheck:
    """Answers 200 when a message would be answered, 503 otherwise."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        model = self._registry.ready
        if model is None:
            await send_json(send, Health("loading"), status=HTTPStatus.SERVICE_UNAVAILABLE)
            return
        status = model.engine.status
        code = HTTPStatus.OK if status == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        health = Health("ok" if code is HTTPStatus.OK else status, model.info.id, model.found.found)
        await send_json(send, health, status=code)


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_LIMIT
    if not (given.isascii() and given.isdecimal() and len(given) <= _DIGITS and 1 <= int(given) <= _MAX_LIMIT):
        raise InvalidRequest.at("limit", f"Input should be a valid integer between 1 and {_MAX_LIMIT}")
    return int(given)
