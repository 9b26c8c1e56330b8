"""Requests of the command line to a running server."""

import json
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from dragoman.cli.usage_error import UsageError

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""The default address of `dragoman serve`."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
NO_KEY: Final = "none"
"""Sent as the key where none is known: without a key, Claude Code reports that it is not logged in."""

_TIMEOUT_S: Final = 5.0


class StatusError(Exception):
    """The server answered with an error status; the text is its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def needs_key(self) -> bool:
        """Whether a key is missing, or wrong."""
        return self.status in (401, 403)


def fetch(url: str, key: str | None, *, method: str = "GET", timeout: float = _TIMEOUT_S) -> Any:
    """The JSON of a response. Raises `StatusError`, `OSError`, and `ValueError` if it is not JSON."""
    headers = {"anthropic-version": "2023-06-01", "authorization": f"Bearer {key or NO_KEY}"}
    direct = [ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    request = Request(url, headers=headers, method=method)  # noqa: S310 -- what the user named
    try:
        with build_opener(*direct).open(request, timeout=timeout) as response:
            return json.load(response)
    except HTTPError as error:
        with error:  # the exception is also the open response
            raise StatusError(error.code, _message(error)) from None


def ask(url: str, path: str, key: str | None, *, method: str = "GET", timeout: float = _TIMEOUT_S) -> Any:
    """The JSON that a Dragoman at `url` answers. Raises `UsageError` with what happened instead."""
    address = url.rstrip("/")
    try:
        return fetch(f"{address}{path}", key, method=method, timeout=timeout)
    except StatusError as error:
        if error.needs_key:
            raise UsageError(f"{address} requires {'another' if key else 'a'} key: --api-key KEY.") from None
        raise UsageError(f"{address} answers with {error.status}: {error}") from None
    except URLError as error:
        reason = f"no server answers at {address} ({error.reason})"
        raise UsageError(f"{reason}: start one with `dragoman serve`, or name one with --url.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"the answer of {address} cannot be read: {error}.") from None


def _message(error: HTTPError) -> str:
    """The message of the server's error, or the reason of its status."""
    try:
        return str(json.load(error)["error"]["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)
