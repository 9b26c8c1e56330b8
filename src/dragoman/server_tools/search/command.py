"""A command of the operator's that searches: it gets the query as JSON, and writes the hits as JSON.

stdin   {"query": "tides", "allowed_domains": [], "blocked_domains": [], "user_location": {"city": "Ulm"}}
stdout  [{"url": "https://…", "title": "…", "text": "…", "age": "2 days ago"}]
"""

import asyncio
import shlex
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import msgspec

from dragoman.child_process import end_process, start_process
from dragoman.parts.server_tools import SearchHit
from dragoman.server_tools.search.provider import SearchFailed, SearchProvider, SearchQuery, hits_of

_SECONDS: Final = 20.0
_MOST_BYTES: Final = 2 << 20


class Command(SearchProvider):
    """A command, with its arguments as in a shell; no shell runs it."""

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Return the hits. Raises `SearchFailed`."""
        try:
            process = await start_process(*self._command, stdin=PIPE, stdout=PIPE)
        except OSError as error:
            raise SearchFailed("unavailable", f"the command cannot be started: {error}") from None
        try:
            async with asyncio.timeout(_SECONDS):
                written = await _communicate(process, _asked(query))
        except TimeoutError:
            raise SearchFailed("unavailable", f"the command did not end within {_SECONDS:g} seconds") from None
        finally:
            await end_process(process)
        try:
            return hits_of(msgspec.json.decode(written))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SearchFailed("unavailable", "the command did not write JSON") from None


def _asked(query: SearchQuery) -> bytes:
    place = asdict(query.location) if query.location else {}
    return msgspec.json.encode(
        {
            "query": query.words,
            "allowed_domains": query.allowed_domains,
            "blocked_domains": query.blocked_domains,
            "user_location": {name: value for name, value in place.items() if value},
        }
    )


async def _communicate(process: Process, asked: bytes) -> bytes:
    """Write to the process and read all that it writes. Raises `SearchFailed` if that is too long, or if it fails."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):  # it may not read its input
        process.stdin.write(asked)
        await process.stdin.drain()
        process.stdin.close()
    data = bytearray()
    while piece := await process.stdout.read(65536):
        data += piece
        if len(data) > _MOST_BYTES:
            raise SearchFailed("unavailable", f"the command wrote more than {_MOST_BYTES:,} bytes")
    if code := await process.wait():
        raise SearchFailed("unavailable", f"the command ended with code {code}")
    return bytes(data)
