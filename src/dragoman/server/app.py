"""The routes of the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.observability.metrics import CONTENT_TYPE, Metrics
from dragoman.server.auth import Keyring
from dragoman.server.completions import ChatCompletions, Completions
from dragoman.server.messages import CountTokens, Messages
from dragoman.server.middleware import METRICS, Middleware
from dragoman.server.model_status import StatusList, StopModel
from dragoman.server.models import HealthCheck, ModelDetail, ModelList
from dragoman.server.registry import ModelRegistry
from dragoman.server.responses import InputTokens, Responses
from dragoman.server.stored_responses import StoredResponses
from dragoman.storage.responses import ResponseStore


def create_app(registry: ModelRegistry, counts: Path | None = None, keyring: Keyring | None = None) -> ASGIApp:
    """Return the ASGI application. Its lifespan loads models in the background, and unloads all at shutdown.

    `counts` is a folder in which several processes share their metrics. `keyring` replaces the key of the settings.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        registry.load()
        try:
            yield
        finally:
            await registry.close()
            await store.close()

    settings = registry.settings
    store = ResponseStore(settings.data, settings.responses_limit, settings.responses_age)
    stored = StoredResponses(store)
    metrics = Metrics(registry.counts, counts)
    router = Router(
        [
            Route("/v1/messages", Messages(registry), methods=["POST"]),
            Route("/v1/messages/count_tokens", CountTokens(registry), methods=["POST"]),
            Route("/v1/chat/completions", ChatCompletions(registry), methods=["POST"]),
            Route("/v1/completions", Completions(registry), methods=["POST"]),
            Route("/v1/responses", Responses(registry, store), methods=["POST"]),
            Route("/v1/responses/input_tokens", InputTokens(registry, store), methods=["POST"]),
            Route("/v1/responses/{response}", stored.retrieve, methods=["GET"]),
            Route("/v1/responses/{response}", stored.delete, methods=["DELETE"]),
            Route("/v1/responses/{response}/cancel", stored.cancel, methods=["POST"]),
            Route("/v1/responses/{response}/input_items", stored.input_items, methods=["GET"]),
            Route("/v1/models", ModelList(registry), methods=["GET"]),
            Route("/v1/models/{model:path}", ModelDetail(registry), methods=["GET"]),
            Route("/api/models", StatusList(registry), methods=["GET"]),
            Route("/api/models/{model:path}/stop", StopModel(registry), methods=["POST"]),
            Route(METRICS, _Scrape(metrics), methods=["GET"]),
            Route("/health", HealthCheck(registry), methods=["GET"]),
            Route("/", _quiet, methods=["GET"]),
            Route("/api/hello", _quiet, methods=["GET"]),
            Route("/api/event_logging/batch", _quiet, methods=["POST"]),
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    return Middleware(router, registry.settings, metrics, keyring or Keyring.single(registry.settings.api_key))


class _Scrape:
    """The metrics page for Prometheus; it needs the API key if there is one."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(self._metrics.page(), media_type=CONTENT_TYPE)(scope, receive, send)


async def _quiet(request: Request) -> Response:
    """Answer a client's liveness probe or telemetry, and keep nothing of it."""
    return JSONResponse({"status": "ok", "path": request.url.path})
