"""What every request passes, whatever it asks for: an id, a key, a plain path, and one shape of answer where it fails."""

import secrets
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragoman.errors import DragomanError, MethodNotAllowed, Unexpected, UnknownRoute
from dragoman.observe import Record
from dragoman.server.auth import check_key
from dragoman.server.disconnect import ClientGone
from dragoman.server.respond import response_start, send_error

PREFIX = "/anthropic"
OPEN_PATHS = frozenset({"/", "/health", "/api/hello", "/api/event_logging/batch"})
"""Asked for by probes and by telemetry: no key, no line in the log."""
_CLIENT_CLOSED = 499


class Edge:
    """Wraps the routes. Whatever leaves here carries a `request-id` (TRN-6), and is JSON where it is an error (ERR-1)."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app = app
        self._api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "path": _plain(scope["path"]), "app": self}
        record = Record(f"req_{secrets.token_hex(12)}", scope["method"], scope["path"])
        scope["state"] = {**scope.get("state", {}), "record": record}
        try:
            await self._answer(scope, receive, _tagged(send, record), record)
        finally:
            if scope["path"] not in OPEN_PATHS:
                record.log()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        headers: dict[str, str] = {}
        try:
            if scope["method"] == "OPTIONS":
                await send(response_start(HTTPStatus.NO_CONTENT, {"allow": "GET, HEAD, POST, OPTIONS"}))
                await send({"type": "http.response.body", "body": b""})
                return
            if scope["path"] not in OPEN_PATHS:
                check_key(Headers(scope=scope), self._api_key)
            await self._app(scope, receive, send)
            return
        except ClientGone:
            record.status, record.ending = _CLIENT_CLOSED, "the client left"
            return
        except HTTPException as raised:
            error = _routing(raised, scope)
            headers = dict(raised.headers or {})
        except DragomanError as raised:
            error = raised
            record.fail(raised)
        except Exception as raised:
            error = Unexpected()
            record.fail(raised)
        if not record.status:  # else the answer is under way already, and ends here
            await send_error(send, error, record.request_id, headers)


def _plain(path: str) -> str:
    """`/anthropic/v1/models/` is `/v1/models`: both prefixes hold the whole API, and nothing redirects (TRN-1, TRN-10)."""
    if path == PREFIX or path.startswith(PREFIX + "/"):
        path = path[len(PREFIX) :]
    return path.rstrip("/") or "/"


def _tagged(send: Send, record: Record) -> Send:
    async def tagged(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["request-id"] = record.request_id
            if record.diverged:
                headers["dragoman-diverged"] = record.diverged.encode("unicode_escape").decode()
        await send(message)

    return tagged


def _routing(raised: HTTPException, scope: Scope) -> DragomanError:
    """What the router says, in our words."""
    if raised.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed(f"{scope['method']} is not allowed on {scope['path']}")
    return UnknownRoute(f"no such path: {scope['path']}")
