"""Fetches what is at a URL that a client sent, from public addresses only, with bounds of size, time and redirects.

A name is resolved once for each connection, its addresses are checked, and the connection goes to one of them: another answer
of the name server to a later question changes nothing. Each redirect is checked like the first URL. Proxies of the environment,
cookies and compression are not used.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from dragoman.media.public_addresses import IPAddress, is_public, parsed

_SECONDS: Final = 20.0
_MOST_REDIRECTS: Final = 5
_ACCEPT: Final = "image/*, application/pdf, text/*;q=0.5"
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "dragoman"}
_NOT_PUBLIC: Final = "leads to an address that is not public"
_REDIRECTS: Final = {301, 302, 303, 307, 308}

_ENDS_IN_A_NUMBER: Final = re.compile(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$", re.IGNORECASE)
"""Hosts that are neither names nor addresses in their usual form: libraries may connect to `127.1` unresolved."""

Allows = Callable[[IPAddress], bool]
"""Whether a connection to an address is allowed."""
Permits = Callable[[URL], bool]
"""Whether a URL may be fetched, by rules of the request."""


class Obstacle(Enum):
    """The kinds of reasons for which a URL cannot be fetched."""

    INVALID = auto()
    """It is not an http or https URL."""
    FORBIDDEN = auto()
    """Its address is not public, or a rule of the request forbids it."""
    UNREACHABLE = auto()
    """Nothing answered, or not with content."""
    TOO_LARGE = auto()


class Unfetchable(Exception):
    """What is at a URL cannot be fetched; the message completes a sentence about the URL: `it …`."""

    def __init__(self, message: str, obstacle: Obstacle = Obstacle.UNREACHABLE) -> None:
        super().__init__(message)
        self.obstacle = obstacle


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched; `url` is where the last redirect led. `media_type` and `charset` are as declared, or empty."""

    data: bytes
    url: str
    media_type: str = ""
    charset: str = ""


class Fetcher:
    """Fetches URLs of at most `most_bytes`, in `seconds` with all redirects. `accept` is what servers are asked for."""

    def __init__(
        self,
        most_bytes: int,
        *,
        seconds: float = _SECONDS,
        allows: Allows = is_public,
        resolver: AbstractResolver | None = None,
        accept: str = _ACCEPT,
    ) -> None:
        self._most = most_bytes
        self._seconds = seconds
        self._accept = accept
        self._allows = allows
        self._resolver = _CheckedResolver(resolver, allows)

    async def fetch(self, url: str, permits: Permits = lambda _: True) -> Fetched:
        """Return what is at the URL; `permits` is asked for it and for each redirect. Raises `Unfetchable`."""
        try:
            async with asyncio.timeout(self._seconds), self._session() as session:
                place = URL(url)
                for _ in range(_MOST_REDIRECTS + 1):
                    self._check(place)
                    if not permits(place):
                        raise Unfetchable("is not permitted by the request", Obstacle.FORBIDDEN)
                    async with session.get(place, allow_redirects=False) as response:
                        if response.status not in _REDIRECTS:
                            data = await self._body(response)
                            return Fetched(data, str(place), _media_type(response), response.charset or "")
                        place = place.join(URL(response.headers.get("Location", "")))
        except TimeoutError:
            raise Unfetchable(f"did not arrive within {self._seconds:g} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _cause(error) from None
        raise Unfetchable(f"redirects more than {_MOST_REDIRECTS} times")

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": self._accept, **_HEADERS},
            auto_decompress=False,
            trust_env=False,
        )

    def _check(self, url: URL) -> None:
        """Check the URL itself, and its address if it has one instead of a name. Raises `Unfetchable`."""
        if url.scheme not in ("http", "https") or not url.host:
            raise Unfetchable("is not an http or https URL", Obstacle.INVALID)
        address = parsed(url.host)
        if address is None and _ENDS_IN_A_NUMBER.search(url.host):
            raise Unfetchable("is not a valid URL", Obstacle.INVALID)
        if address is not None and not self._allows(address):
            raise Unfetchable(_NOT_PUBLIC, Obstacle.FORBIDDEN)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status != 200:
            raise Unfetchable(f"was answered with status {response.status}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Unfetchable("was answered in a compressed form that was not asked for")
        data = bytearray()
        async for piece in response.content.iter_any():
            data += piece
            if len(data) > self._most:
                raise Unfetchable(f"is larger than {self._most:,} bytes", Obstacle.TOO_LARGE)
        return bytes(data)


class _CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those with an address that is not allowed."""

    def __init__(self, resolver: AbstractResolver | None, allows: Allows) -> None:
        self._resolver = resolver
        self._allows = allows

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        found = await resolver.resolve(host, port, family)
        for entry in found:
            address = parsed(entry["host"])
            if address is None or not self._allows(address):
                raise Unfetchable(_NOT_PUBLIC, Obstacle.FORBIDDEN)
        return found

    async def close(self) -> None:
        """Nothing is open."""


def _cause(error: Exception) -> Unfetchable:
    """The reason for the client. Details of the network stay in this process."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unfetchable("has a host that is not found")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return Unfetchable("is not a valid URL", Obstacle.INVALID)
    return Unfetchable("cannot be reached")


def _media_type(response: aiohttp.ClientResponse) -> str:
    """The declared media type without parameters, in lower case; empty if there is none."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
