"""The page of the server at `GET /`, which shows what is served and the last requests, and its files.

The files hold nothing secret and need no key; the page asks for one, and fetches its data from `/api/requests`. It uses nothing
from other hosts. The policy forbids that too, and to insert text as HTML: with trusted types, assigning to `innerHTML` fails.
"""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_INDEX: Final = "index.html"
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # asks the server each time, which answers that nothing has changed
}


class StaticFile:
    """Answers with one file of the page."""

    def __init__(self, path: str) -> None:
        file = _FOLDER / path.rpartition("/")[2]
        self._content = file.read_bytes()
        self._etag = f'"{sha256(self._content).hexdigest()[:16]}"'
        self._headers = {**_HEADERS, "etag": self._etag, "content-type": f"{_TYPES[file.suffix]}; charset=utf-8"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await self.response(Headers(scope=scope))(scope, receive, send)

    def response(self, headers: Headers, more: Mapping[str, str] | None = None) -> Response:
        """Return the response to a request with these headers, without the file if the browser has it."""
        known = self._etag in headers.get("if-none-match", "")
        status, content = (HTTPStatus.NOT_MODIFIED, b"") if known else (HTTPStatus.OK, self._content)
        return Response(content, status, {**self._headers, **(more or {})})


class PageOrProbe:
    """Answers browsers with the page, and all other clients, which look whether the server is alive, with `probe`."""

    def __init__(self, probe: Callable[[Request], Awaitable[Response]]) -> None:
        self._probe = probe
        self._page = StaticFile(_INDEX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        headers = Headers(scope=scope)
        if "text/html" in headers.get("accept", ""):
            response = self._page.response(headers, {"vary": "accept"})
        else:
            response = await self._probe(Request(scope, receive))
        await response(scope, receive, send)


PATHS: Final = tuple(f"/page/{file.name}" for file in sorted(_FOLDER.iterdir()) if file.name != _INDEX)
"""The paths of the files of the page, other than that of the page itself."""
