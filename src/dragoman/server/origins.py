"""Which hosts and which web pages may use the server.

A page that a browser shows can send requests to this machine. Two rules keep strange pages out: answers can be read only by
pages of allowed origins (CORS), and a server on a loopback address without a key answers only under names that mean this
machine, so that a name of the page's own that was made to point here (DNS rebinding) does not work.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_LOCAL_ORIGIN: Final = (
    r"https?://(?:[a-z0-9-]+\.)*localhost(?::\d+)?|https?://127(?:\.\d{1,3}){3}(?::\d+)?|https?://\[::1\](?::\d+)?"
)
_EXPOSED: Final = ("request-id", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry", "dragoman-diverged")
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d*)?", re.IGNORECASE)
ANY: Final = "*"


def with_cors(app: ASGIApp, origins: Collection[str]) -> CORSMiddleware:
    """The application, usable by pages of this machine and of `origins`; "*" allows every page. The key is needed as ever."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_origin_regex=_LOCAL_ORIGIN,
        allow_methods=("DELETE", "GET", "HEAD", "OPTIONS", "POST"),
        allow_headers=("*",),
        allow_private_network=True,
        expose_headers=_EXPOSED,
    )


def is_allowed_host(host: str, named: Collection[str]) -> bool:
    """Whether a `Host` field means this machine, or is one of those `named` (without a port). None at all is HTTP/1.0."""
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
