"""The routes of the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.api.anthropic.batches import MessageResults
from dragoman.api.openai.batches import OpenAIResults
from dragoman.observability.metrics import CONTENT_TYPE, Metrics
from dragoman.observability.tracing import PassingOn, Tracing
from dragoman.server import page
from dragoman.server.access.auth import Keyring
from dragoman.server.batches import intake
from dragoman.server.batches.answers import BatchAnswers, BatchEndpoint
from dragoman.server.batches.messages import MessageBatches
from dragoman.server.batches.openai import OpenAIBatches
from dragoman.server.batches.output_files import OutputFiles
from dragoman.server.batches.runner import BatchRunner
from dragoman.server.endpoints.base import GeneratingEndpoint
from dragoman.server.endpoints.completions import ChatCompletions, Completions
from dragoman.server.endpoints.messages import CountTokens, Messages
from dragoman.server.endpoints.responses import Compact, InputTokens, Responses
from dragoman.server.endpoints.stored_responses import StoredResponses
from dragoman.server.files.anthropic import AnthropicFiles
from dragoman.server.files.openai import OpenAIFiles
from dragoman.server.files.routes import file_routes
from dragoman.server.kept_requests.endpoints import request_routes
from dragoman.server.middleware import METRICS, Middleware
from dragoman.server.models.listing import HealthCheck, ModelDetail, ModelList
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.models.served_model import Settings
from dragoman.server.models.status import MODELS, StatusList, StopModel
from dragoman.storage.batches.rows import MESSAGES
from dragoman.storage.batches.store import BatchStore
from dragoman.storage.responses import ResponseStore


def create_app(registry: ModelRegistry, counts: Path | None = None, keyring: Keyring | None = None) -> ASGIApp:
    """Return the ASGI application. Its lifespan loads models in the background, and unloads all at shutdown.

    `counts` is a folder in which several processes share their metrics. `keyring` replaces the key of the settings.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        registry.load()
        runner.start()
        try:
            yield
        finally:
            await runner.close()
            await registry.close()
            await store.close()
            await batches.close()
            await intake.close()
            await asyncio.to_thread(tracing.close)

    settings = registry.settings
    store = ResponseStore(settings.place, settings.responses_limit, settings.responses_age)
    metrics = Metrics(registry.counts, counts)
    tracing = _tracing(settings)
    messages = Messages(registry)
    batches = BatchStore(settings.place)
    endpoints: dict[str, GeneratingEndpoint[Any]] = {
        "/v1/chat/completions": ChatCompletions(registry),
        "/v1/completions": Completions(registry),
        "/v1/responses": Responses(registry, store),
    }
    answers = BatchAnswers(
        {
            MESSAGES: BatchEndpoint(messages, MessageResults()),
            **{path: BatchEndpoint(endpoint, OpenAIResults()) for path, endpoint in endpoints.items()},
        },
        metrics,
    )
    runner = BatchRunner(
        batches, answers, lambda: registry.served, OutputFiles(batches, registry.files).write, settings.batch_slots
    )
    router = Router(
        [
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", CountTokens(registry), methods=["POST"]),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()),
            Route("/v1/responses/compact", Compact(registry, store), methods=["POST"]),
            Route("/v1/responses/input_tokens", InputTokens(registry, store), methods=["POST"]),
            *StoredResponses(store).routes,
            *MessageBatches(batches, runner, registry).routes,
            *OpenAIBatches(batches, runner, registry).routes,
            *file_routes(AnthropicFiles(registry.files), OpenAIFiles(registry.files)),
            Route("/v1/models", ModelList(registry), methods=["GET"]),
            Route("/v1/models/{model:path}", ModelDetail(registry), methods=["GET"]),
            Route(MODELS, StatusList(registry), methods=["GET"]),
            Route("/api/models/{model:path}/stop", StopModel(registry), methods=["POST"]),
            Route(METRICS, _Scrape(metrics), methods=["GET"]),
            Route("/health", HealthCheck(registry), methods=["GET"]),
            *request_routes(registry),
            Route("/", page.PageOrProbe(_quiet), methods=["GET"]),
            *(Route(path, page.StaticFile(path), methods=["GET"]) for path in page.PATHS),
            Route("/api/hello", _quiet, methods=["GET"]),
            Route("/api/event_logging/batch", _quiet, methods=["POST"]),
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    return Middleware(router, registry, metrics, keyring or Keyring.single(settings.api_key), tracing)


def _tracing(settings: Settings) -> Tracing:
    """Return what makes the traces. Raises `ImportError` if traces are exported and the extra `otel` is not installed."""
    if not settings.traces:
        return PassingOn()
    from dragoman.observability.spans import SpanTracing  # noqa: PLC0415 -- of an extra

    return SpanTracing()


class _Scrape:
    """The metrics page for Prometheus; it needs the API key if there is one."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(self._metrics.page(), media_type=CONTENT_TYPE)(scope, receive, send)


async def _quiet(request: Request) -> Response:
    """Answer a client's liveness probe or telemetry, and keep nothing of it."""
    return JSONResponse({"status": "ok", "path": request.url.path})
