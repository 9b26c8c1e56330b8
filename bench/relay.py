"""Passes bytes on between clients and a server at a Unix socket: `python -m bench.relay PATH`.

This is the least that any server in Python between a client and an engine costs.
"""

import asyncio
import sys
from typing import Any

import uvloop


class _Upstream(asyncio.Protocol):
    """The connection to the server."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._client.close()


class _Client(asyncio.Protocol):
    """The connection of a client."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._early: list[bytes] = []  # what arrived before there was a connection to the server
        self._upstream: Any = None

    def connection_made(self, transport: Any) -> None:
        self._connecting = asyncio.ensure_future(self._connect(transport))

    async def _connect(self, client: Any) -> None:
        loop = asyncio.get_running_loop()
        self._upstream, _ = await loop.create_unix_connection(lambda: _Upstream(client), self._path)
        self._upstream.writelines(self._early)

    def data_received(self, data: bytes) -> None:
        if self._upstream is None:
            self._early.append(data)
        else:
            self._upstream.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.close()


async def _main(path: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Client(path), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1]))
