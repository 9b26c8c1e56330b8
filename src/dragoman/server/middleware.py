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
from dragoman.observability.metrics import Metrics
from dragoman.server.auth import Keyring
from dragoman.server.capture import CaptureMiddleware
from dragoman.server.disconnect import ClientGone
from dragoman.server.origins import PAGES, Pages, is_allowed_host
from dragoman.server.rate_limits import SPENDING, Spending
from dragoman.server.respond import format_of, is_openai_only, plain_path, response_start, send_error
from dragoman.server.served_model import Settings

METRICS = "/metrics"
OPEN_PATHS = frozenset({"/", "/health", "/api/hello", "/api/event_logging/batch"})
"""Requested by probes and telemetry: they need no key."""
QUIET_PATHS = OPEN_PATHS | {METRICS}
"""Not logged, not counted, not captured."""
_CLIENT_CLOSED = 499


class Middleware:
    """Wraps the routes. Every response carries a `request-id` (TRN-6), and every error is JSON (ERR-1)."""

    def __init__(self, router: Router, settings: Settings, metrics: Metrics, keyring: Keyring) -> None:
        self._app = router
        self._keyring = keyring
        self._settings = settings
        self._metrics = metrics
        self._capture = settings.capture
        self._pages = Pages(self._answer, settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            scope.get("state", {})[PAGES] = self._pages
            await self._app(scope, receive, send)
            return
        scope = {**scope, "path": plain_path(scope["path"]), "app": self}
        record = _record(scope)
        scope["state"] = {**scope.get("state", {}), "record": record}
        if scope["path"] in QUIET_PATHS:
            await self._pages(scope, receive, _with_headers(send, scope))
        elif self._capture is None:
            await self._logged(scope, receive, send, record)
        else:
            capture = CaptureMiddleware(scope, receive, send, lambda: record.age)
            try:
                await self._logged(scope, capture.receive, capture.send, record)
            finally:
                await capture.keep(self._capture, record.request_id, left=record.stop is not None)

    async def _logged(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Answer a request, then count and log it."""
        record.endpoint = _route(self._app, scope)
        try:
            with self._metrics.open(record):
                await self._pages(scope, receive, _with_headers(send, scope))
        finally:
            entry = record.entry()
            if spending := _spending(scope):
                spending.settle(entry.tokens)
            self._metrics.count(entry)
            log_request(entry)

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
                record.key, scope["state"][SPENDING] = key.name, Spending(key.limits)
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
            await send_error(send, format_of(scope["path"]), error, record.request_id, headers)


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
        offer = "; of the OpenAI API, this server has chat completions, completions, responses and models"
    return UnknownRoute(f"no such path: {scope['method']} {scope['path']}{offer}")
