"""The HTTP client for MCP servers, with a limit on what an answer may hold."""

from collections.abc import AsyncIterator, Mapping

import httpx2


class TooLarge(httpx2.TransportError):
    """An answer is larger than the limit."""


def bounded_client(headers: Mapping[str, str], most_bytes: int, seconds: float) -> httpx2.AsyncClient:
    """A client whose connection receives at most `most_bytes` of content in all.

    No proxies of the environment, no compression, and no redirects: the `mcp` package follows those that stay at the server.
    """
    fields = {**headers, "Accept-Encoding": "identity", "User-Agent": "dragoman"}
    return httpx2.AsyncClient(headers=fields, timeout=seconds, trust_env=False, transport=_BoundedTransport(most_bytes))


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, most_bytes: int) -> None:
        super().__init__(trust_env=False)
        self._left = most_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise TooLarge("the answer is compressed, which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, self)
        return response

    def take(self, count: int) -> None:
        """Count bytes that arrived. Raises `TooLarge`."""
        self._left -= count
        if self._left < 0:
            raise TooLarge("the answer is too large")


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, transport: _BoundedTransport) -> None:
        self._inner = inner
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._transport.take(len(piece))
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
