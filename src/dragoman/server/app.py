"""The routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.observe.metrics import CONTENT_TYPE, Metrics
from dragoman.server.completions import ChatCompletions, Completions
from dragoman.server.edge import METRICS, Edge
from dragoman.server.gateway import Gateway
from dragoman.server.messages import CountTokens, Messages
from dragoman.server.models import HealthCheck, ModelDetail, ModelList


def create_app(gateway: Gateway, counts: Path | None = None) -> ASGIApp:
    """The ASGI application. Its lifespan loads the model, beside serving, and closes the engine at the end.

    `counts` is a folder where it counts together with others.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        gateway.load()
        try:
            yield
        finally:
            await gateway.close()

    metrics = Metrics(lambda: gateway.engine.restarts, counts)
    router = Router(
        [
            Route("/v1/messages", Messages(gateway), methods=["POST"]),
            Route("/v1/messages/count_tokens", CountTokens(gateway), methods=["POST"]),
            Route("/v1/chat/completions", ChatCompletions(gateway), methods=["POST"]),
            Route("/v1/completions", Completions(gateway), methods=["POST"]),
            Route("/v1/models", ModelList(gateway), methods=["GET"]),
            Route("/v1/models/{model:path}", ModelDetail(gateway), methods=["GET"]),
            Route(METRICS, _Scrape(metrics), methods=["GET"]),
            Route("/health", HealthCheck(gateway), methods=["GET"]),
            Route("/", _quiet, methods=["GET"]),
            Route("/api/hello", _quiet, methods=["GET"]),
            Route("/api/event_logging/batch", _quiet, methods=["POST"]),
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    return Edge(router, gateway.settings, metrics)


class _Scrape:
    """What Prometheus asks for, every few seconds: with the key, where there is one."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(self._metrics.page(), media_type=CONTENT_TYPE)(scope, receive, send)


async def _quiet(request: Request) -> Response:
    """What clients ask in passing, to see who is there or to leave their telemetry: answered, and nothing is kept."""
    return JSONResponse({"status": "ok", "path": request.url.path})
