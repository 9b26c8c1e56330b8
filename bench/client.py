"""A client with little overhead, so that the server's cost is measured."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

HEADERS = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "bench"}
_DELTA = b"event: content_block_delta\n"
_FINAL = b"event: message_delta\ndata: "


@dataclass(frozen=True, slots=True)
class Streamed:
    """The measurements of one stream. Times are in seconds since the request; `deltas` counts `content_block_delta` events."""

    first_delta: float
    took: float
    deltas: int
    output_tokens: int
    cached_tokens: int


def connect(url: str) -> aiohttp.ClientSession:
    """An HTTP session for `http://…` or `unix:///path`."""
    timeout = aiohttp.ClientTimeout(total=600)
    if url.startswith("unix://"):
        unix = aiohttp.UnixConnector(url.removeprefix("unix://"), limit=0, force_close=True)
        return aiohttp.ClientSession("http://bench", connector=unix, headers=HEADERS, timeout=timeout)
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(url, connector=connector, headers=HEADERS, timeout=timeout)


def asking(text: str, tokens: int) -> dict[str, Any]:
    """A request with one user message."""
    return {"model": "claude-bench", "max_tokens": tokens, "temperature": 0, "messages": [{"role": "user", "content": text}]}


async def stream(session: aiohttp.ClientSession, body: dict[str, Any]) -> Streamed:
    """Send a streaming request and read the stream to its end."""
    began = time.perf_counter()
    first = 0.0
    deltas = 0
    tail = b""
    whole = bytearray()
    async with session.post("/v1/messages", json={**body, "stream": True}) as response:
        if response.status != 200:
            raise RuntimeError(await response.text())
        async for data in response.content.iter_any():
            window = tail + data
            deltas += window.count(_DELTA)
            tail = window[-(len(_DELTA) - 1) :]
            if deltas and not first:
                first = time.perf_counter() - began
            whole = (whole + data)[-4096:]
    usage = _final_usage(bytes(whole))
    return Streamed(
        first, time.perf_counter() - began, deltas, usage.get("output_tokens", 0), usage.get("cache_read_input_tokens") or 0
    )


def _final_usage(tail: bytes) -> dict[str, int]:
    start = tail.rindex(_FINAL) + len(_FINAL)
    usage: dict[str, int] = json.loads(tail[start : tail.index(b"\n", start)])["usage"]
    return usage


async def deltas_per_second(url: str, streams: int) -> float:
    """Deltas per second over all of `streams` parallel streams, each as long as the engine makes it."""
    async with connect(url) as session:
        await stream(session, asking("Go.", 50_000))
        began = time.perf_counter()
        answers = await asyncio.gather(*(stream(session, asking("Go.", 50_000)) for _ in range(streams)))
        return sum(answer.deltas for answer in answers) / (time.perf_counter() - began)


async def post(session: aiohttp.ClientSession, path: str, body: bytes) -> tuple[float, dict[str, Any]]:
    """The duration of a request in seconds, and its answer."""
    began = time.perf_counter()
    async with session.post(path, data=body) as response:
        answer = await response.json()
        if response.status != 200:
            raise RuntimeError(answer)
    return time.perf_counter() - began, answer
