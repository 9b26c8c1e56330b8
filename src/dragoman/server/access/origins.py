"""Checks which web pages (CORS) and host names may use the server.

A web page in a browser can send requests to this machine. Two rules keep foreign pages out: only pages of allowed origins can
read responses (CORS), and a server on a loopback address without a key answers only under host names of this machine, so that
an attacker's host name that resolves to this machine (DNS rebinding) does not work.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.server.access.rate_limits import HEADERS

_LOCAL_ORIGIN: Final = (
    r"https?://(?:[a-z0-9-]+\.)*localhost(?::\d+)?|https?://127(?:\.\d{1,3}){3}(?::\d+)?|https?://\[::1\](?::\d+)?"
)
_EXPOSED: Final = (
    "request-id",
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "dragoman-diverged",
    *HEADERS,
)
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d*)?", re.IGNORECASE)
ANY: Final = "*"


PAGES: Final = "pages"
"""The key of `Pages` in the state of the application, where a connection finds it."""


class Pages(CORSMiddleware):
    """CORS for pages of this machine and of `origins`; "*" allows every page. An API key is still needed.

    A response to any other origin has no CORS headers. Every response gets `Vary: Origin` from the middleware.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_origin_regex=_LOCAL_ORIGIN,
            allow_methods=("DELETE", "GET", "HEAD", "OPTIONS", "POST"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an HTTP scope."""
        if self.is_allowed_origin(Headers(scope=scope).get("origin", "")):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def fields(self, origin: str) -> dict[str, str]:
        """Return the CORS headers of a response that the application does not send; `origin` is empty if there is none."""
        fields = {"vary": "Origin"}
        if origin and self.is_allowed_origin(origin):
            fields |= {"access-control-allow-origin": origin, **self.simple_headers}
        return fields


def is_allowed_origin(origin: str, named: Collection[str]) -> bool:
    """Whether an `Origin` header is that of a page of this machine, or in `named`. It is empty outside browsers."""
    return not origin or ANY in named or origin in named or re.fullmatch(_LOCAL_ORIGIN, origin) is not None


def is_allowed_host(host: str, named: Collection[str]) -> bool:
    """Whether a `Host` header means this machine or, without its port, is in `named`. It may be empty (HTTP/1.0)."""
    found = _HOST.fullmatch(host.strip())
    if found is None:
        return not host
    name = found["name"].strip("[]").rstrip(".").lower()
    if ANY in named or name in named or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
