"""`GET /v1/models` and `GET /v1/models/{id}`."""

from collections.abc import Mapping
from http import HTTPStatus

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dragoman.api.anthropic.models import ModelPage
from dragoman.errors import InvalidRequest
from dragoman.server.registry import ModelRegistry
from dragoman.server.respond import send_json

_DEFAULT_LIMIT, _MAX_LIMIT = 20, 1000
_DIGITS = 6
_PATIENCE = 2.0
"""Seconds to wait for the model: clients that discover models time out after three (CC-3)."""


class ModelList:
    """Lists the served id and its aliases, each as a model."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        query = Request(scope, receive).query_params
        model = await self._registry.model(_PATIENCE)
        models = [replace(model.info, id=name) for name in self._registry.names(model)]
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
        """Answer the request."""
        model = await self._registry.model(_PATIENCE)
        self._registry.resolve(model, scope["path_params"]["model"])
        await send_json(send, model.info)


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
