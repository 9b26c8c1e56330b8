"""Tests the latency checks on a server that reads slowly, and on three servers that handle this badly."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conftest import live_registry, registry_of
from dragoman.doctor import CHECKS, Client, Outcome, run_checks
from dragoman.doctor.checks import latency
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.server import create_app
from dragoman.server.answering import stream

from .reference_server import ReferenceEngine
from .relay import Relay

pytestmark = pytest.mark.slow

LONG = 1_000
READING = 0.6
"""Seconds that the engine takes to read a prompt of more than `LONG` tokens."""


class SlowReader(ReferenceEngine):
    """Reads long prompts slowly, and writes long answers slowly."""

    async def generate(self, request: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        if len(request.tokens) > LONG:
            await asyncio.sleep(READING)
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                if request.limit > 500:
                    await asyncio.sleep(READING / 200)
                yield chunk


class IgnoredDisconnects:
    """An ASGI application around another that never learns of a disconnect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_without_disconnect() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.Event().wait()
            return message

        await self._app(scope, receive_without_disconnect, send)


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the time limits of the checks to about a thirtieth."""
    monkeypatch.setattr(latency, "LONGEST_SILENCE", READING / 2)
    monkeypatch.setattr(latency, "SOON", READING / 4)
    monkeypatch.setattr(latency, "FAIR_SECONDS", READING / 4)
    monkeypatch.setattr(latency, "ABANDONED", 3)
    monkeypatch.setattr(stream, "MOMENT", 0.01)
    monkeypatch.setattr(stream, "PING_INTERVAL", READING / 10)


def failed(*, slots: int = 64, around: type[Relay | IgnoredDisconnects] | None = None) -> Sequence[str]:
    """The ids of the latency checks that fail on such a server."""
    registry = registry_of(SlowReader(slots=slots))
    app = create_app(registry)
    with live_registry(registry, around(app) if around else app) as url:
        return asyncio.run(_failed(url))


async def _failed(url: str) -> Sequence[str]:
    checks = [check for check in CHECKS if check.subject == latency.SUBJECT.name]
    async with Client.connect(url) as client:
        results = [result async for result in run_checks(client, checks)]
    skipped = {result.check.id for result in results if result.outcome not in (Outcome.PASS, Outcome.FAIL)}
    assert skipped <= {"leaving"}, results  # with a buffering server no client disconnects during an answer
    return [result.check.id for result in results if result.outcome is Outcome.FAIL]


def test_a_slow_server_passes() -> None:
    assert failed() == []


def test_a_server_that_is_silent_while_it_reads_is_found() -> None:
    assert {"early-start", "silence"} <= set(failed(around=Relay))


def test_a_server_that_is_silent_after_the_first_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_INTERVAL", 60)
    assert failed() == ["silence"]


def test_a_server_where_small_requests_wait_for_large_ones_is_found() -> None:
    assert failed(slots=1) == ["small-beside-long"]


def test_a_server_that_continues_abandoned_requests_is_found() -> None:
    assert "leaving" in failed(slots=1, around=IgnoredDisconnects)
