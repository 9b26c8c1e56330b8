"""The middleware around all routes: request id, API key, path normalization, logging, and error responses."""

import secrets
from collections.abc import Awaitable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route, Router
from starlette.types import Message, Receive, Scope, Send

from dragoman.errors import DragomanError, ForeignHost, MethodNotAllowed, UnknownRoute, for_client
from dragoman.observability import Record, log_request
from dragoman.observability.capture_folder import CaptureFolder
from dragoman.observability.metrics import Metrics
from dragoman.observability.tracing import Tracing
from dragoman.server import page
from dragoman.server.access.auth import KEY, Keyring
from dragoman.server.access.origins import PAGES, Pages, is_allowed_host
from dragoman.server.access.rate_limits import SPENDING, Spending
from dragoman.server.capture import CaptureMiddleware
from dragoman.server.kept_requests.endpoints import REQUESTS
from dragoman.server.models.registry import ModelRegistry
from dragoman.server.transport.disconnect import SHUTDOWN, ClientGone
from dragoman.server.transport.respond import format_of, is_openai_only, plain_path, response_start, send_error

METRICS = "/metrics"
OPEN_PATHS = frozenset({"/", "/health", "/api/hello", "/api/event_logging/batch", *page.PATHS})
"""Requested by probes and telemetry, and the files of the page: they need no key."""
QUIET_PATHS = OPEN_PATHS | {METRICS}
"""Not logged, not counted, not captured; nor are the paths of the page's data."""
UNCAPTURED_PATHS = ("/v1/files", "/v1/messages/batches")
"""Beginnings of paths whose bodies are too large to be captured."""
_CLIENT_CLOSED = 499


class Middleware:
    """Wraps the routes. Every response carries a `request-id` (TRN-6), and every error is JSON (ERR-1)."""

    def __init__(self, router: Router, registry: ModelRegistry, metrics: Metrics, keyring: Keyring, tracing: Tracing) -> None:
        settings = registry.settings
        self._app = router
        self._keyring = keyring
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing
        self._recent = registry.recent
        self._shutdown = registry.shutdown
        folder = settings.capture
        self._capture = CaptureFolder(folder, settings.capture_limit, settings.capture_age) if folder is not None else None
        self._pages = Pages(self._answer, settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            scope.get("state", {}).update({PAGES: self._pages, SHUTDOWN: self._shutdown})
            await self._app(scope, receive, send)
            return
        scope = {**scope, "path": plain_path(scope["path"]), "app": self}
        record = _record(scope)
        scope["state"] = {**scope.get("state", {}), "record": record}
        if scope["path"] in QUIET_PATHS or scope["path"].startswith(REQUESTS):
            await self._pages(scope, receive, _with_headers(send, scope))
        elif self._capture is None or scope["path"].startswith(UNCAPTURED_PATHS):
            await self._logged(scope, receive, send, record)
        else:
            capture = CaptureMiddleware(scope, receive, send, lambda: record.age)
            try:
                await self._logged(scope, capture.receive, capture.send, record)
            finally:
                await capture.keep(self._capture, record.request_id, left=record.stop is not None)

    async def _logged(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Answer a request, then count, log and trace it."""
        record.endpoint = _route(self._app, scope)
        trace = self._tracing.begin(record, Headers(scope=scope))
        record.trace = trace.headers
        try:
            with self._metrics.open(record):
                await self._pages(scope, receive, _with_headers(send, scope))
        finally:
            entry = record.entry()
            if spending := _spending(scope):
                spending.settle(entry.tokens)
            self._metrics.count(entry)
            self._recent.close(record, entry)
            log_request(entry)
            trace.end(record, entry)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        record: Record = scope["state"]["record"]
        headers: dict[str, str] = {}
        try:
            fields = Headers(scope=scope)
            hosts = self._settings.hosts
            if hosts is not None and not is_allowed_host(fields.get("host", ""), hosts):
                raise ForeignHost(f"host: {fields.get('host')} does not name this server; --allowed-host adds names")
            if scope["method"] == "OPTIONS":
                await send(response_start(HTTPStatus.NO_CONTENT, {"allow": "GET, HEAD, POST, OPTIONS"}))
                await send({"type": "http.response.body", "body": b""})
                return
            if scope["path"] not in OPEN_PATHS:
                key = self._keyring.check(fields)
                record.key, scope["state"][SPENDING], scope["state"][KEY] = key.name, Spending(key.limits), key
            await self._app(scope, receive, send)
            return
        except ClientGone as gone:
            record.status = _CLIENT_CLOSED
            record.leave(gone.stop)
            return
        except HTTPException as raised:
            error = _routing_error(raised, scope)
            headers = dict(raised.headers or {})
            record.fail(error)
        except Exception as raised:
            error = for_client(raised)
            record.fail(raised)
        if not record.status:  # otherwise the response has started, and ends here
            await send_error(send, format_of(scope["path"], Headers(scope=scope)), error, record.request_id, headers)


def _record(scope: Scope) -> Record:
    """Return the record of a request, with its client's headers."""
    headers = Headers(scope=scope)
    return Record(
        f"req_{secrets.token_hex(12)}",
        scope["method"],
        scope["path"],
        client=headers.get("user-agent", ""),
        session=headers.get("x-claude-code-session-id", ""),
        agent=headers.get("x-claude-code-agent-id", ""),
    )


def _route(router: Router, scope: Scope) -> str:
    """Return the route's path template, so that metrics have one name for all models; empty if no route matches."""
    found = (route.path for route in router.routes if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE)
    return next(found, "").replace(":path", "")


def _spending(scope: Scope) -> Spending | None:
    """Return what a request spends; None if it was refused before its key was known."""
    spending: Spending | None = scope["state"].get(SPENDING)
    return spending


def _with_headers(send: Send, scope: Scope) -> Send:
    record: Record = scope["state"]["record"]

    def send_with_headers(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            headers = MutableHeaders(scope=message)
            if "origin" not in headers.get("vary", "").lower():
                headers.add_vary_header("Origin")
            headers["request-id"] = headers["x-request-id"] = record.request_id  # the SDKs of the two APIs read different names
            if record.diverged:
                headers["dragoman-diverged"] = record.diverged.encode("unicode_escape").decode()
            if spending := _spending(scope):
                headers.update(spending.headers())
        return send(message)

    return send_with_headers


def _routing_error(raised: HTTPException, scope: Scope) -> DragomanError:
    """Return our error for an error of the router."""
    if raised.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed(f"{scope['method']} is not allowed on {scope['path']}")
    offer = ""
    if is_openai_only(scope["path"]):
        offer = "; of the OpenAI API, this server has chat completions, completions, responses, models, files and batches"
    return UnknownRoute(f"no such path: {scope['method']} {scope['path']}{offer}")
