"""The HTTP client of engines."""

import asyncio
from types import SimpleNamespace

from dragoman.engines.http import EngineHttp


async def test_a_response_that_arrives_while_its_request_is_cancelled_is_closed() -> None:
    http = EngineHttp("llama-server", "http://127.0.0.1:9")
    closed = asyncio.Event()

    async def request(*_: object, **__: object) -> SimpleNamespace:
        asyncio.get_running_loop().call_soon(working.cancel)  # runs once the response is there, and before it is taken
        return SimpleNamespace(status=200, close=closed.set)

    async def work() -> None:
        async with http.stream("/completion", b"{}"):
            raise AssertionError("it was cancelled")

    http._address = SimpleNamespace(send=request)  # type: ignore[assignment]
    working = asyncio.create_task(work())
    await asyncio.wait({working})
    assert working.cancelled()
    await asyncio.wait_for(closed.wait(), 5)
