"""Requests to a search provider, with bounds of size and time."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from dragoman.server_tools.search.provider import SearchFailed

_SECONDS: Final = 15.0
_MOST_BYTES: Final = 2 << 20
_TOO_MANY: Final = frozenset({429, 432, 433})
"""Statuses of a limit on requests; the last two are Tavily's, for limits of a plan."""


async def fetched(  # noqa: PLR0913 -- the parts of a request
    method: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    body: Any = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return the body of a successful answer. Raises `SearchFailed`. Redirects are not followed."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    named = {"User-Agent": "dragoman", "Accept-Encoding": "identity", **(headers or {})}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
            session.request(method, url, params=params, json=body, data=form, headers=named, allow_redirects=False) as response,
        ):
            if response.status in _TOO_MANY:
                raise SearchFailed("too_many_requests", f"status {response.status}")
            if response.status != 200:
                raise SearchFailed("unavailable", f"status {response.status}")
            return await _body(response)
    except TimeoutError:
        raise SearchFailed("unavailable", f"no answer within {_SECONDS:g} seconds") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SearchFailed("unavailable", f"{type(error).__name__}: {error}") from None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > _MOST_BYTES:
            raise SearchFailed("unavailable", f"the answer is larger than {_MOST_BYTES:,} bytes")
    return bytes(data)


def decoded(data: bytes) -> Any:
    """The JSON object of an answer. Raises `SearchFailed`."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SearchFailed("unavailable", "the answer is not JSON") from None
    if not isinstance(value, dict):
        raise SearchFailed("unavailable", "the answer is not a JSON object")
    return value
