"""The other worker processes of this server, which answer what concerns each of them over a Unix socket in a shared folder.

A client's connection belongs to one worker. What it asks about the server as a whole (models, requests) that worker also asks
the others, with the client's own key, and adds their answers to its own. A request that comes from another worker is not asked
on.
"""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from starlette.datastructures import Headers
from starlette.types import Scope

_FROM_WORKER: Final = "dragoman-from-worker"
"""The header of a request of another worker."""
_FORWARDED: Final = ("x-api-key", "authorization")
_PATIENCE: Final = 2.0
"""Seconds that a worker has for its answer; one that ends or hangs is left out."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of another worker, to be sent on or read."""

    headers: dict[str, str]
    body: bytes


class Siblings:
    """The other workers, by their sockets in the folder; without a folder there are none."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def listen(self) -> socket.socket:
        """Return the socket at which this worker answers the others."""
        assert self._folder is not None
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(_path(self._folder, os.getpid())))
        return listener

    async def ask(self, scope: Scope, path: str | None = None, patience: float = _PATIENCE) -> Sequence[Reply]:
        """Send a request on to the others, or a GET for another path; returns the answers of those that have one."""
        headers = Headers(scope=scope)
        if _FROM_WORKER in headers:
            return []
        method = "GET" if path else scope["method"]
        fields = {name: headers[name] for name in _FORWARDED if name in headers} | {_FROM_WORKER: str(os.getpid())}
        asked = (_asked(place, method, path or scope["path"], fields, patience) for place in self._others())
        return [reply for reply in await asyncio.gather(*asked) if reply is not None]

    def _others(self) -> Iterator[Path]:
        if self._folder is not None:
            own = _path(self._folder, os.getpid())
            yield from (place for place in self._folder.glob("*.sock") if place != own)


def forget_worker(folder: Path, pid: int) -> None:
    """Remove the socket of a worker that has ended."""
    _path(folder, pid).unlink(missing_ok=True)


def _path(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.sock"


async def _asked(place: Path, method: str, path: str, fields: dict[str, str], patience: float) -> Reply | None:
    """The answer of one worker; None if it has none."""
    timeout = aiohttp.ClientTimeout(patience)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(place)), timeout=timeout) as session,
            session.request(method, f"http://localhost{path}", headers=fields) as response,
        ):
            if response.status != HTTPStatus.OK:
                return None
            kept = {name: response.headers[name] for name in ("content-disposition",) if name in response.headers}
            return Reply(kept, await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
