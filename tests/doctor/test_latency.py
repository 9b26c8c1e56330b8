"""The checks that need a server which takes its time: here one that reads slowly, and the three ways to bear that badly."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conftest import live_registry
from dragoman.doctor import CHECKS, Client, Outcome, run_checks
from dragoman.doctor.checks import latency
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.server import ModelRegistry, Settings, create_app, stream

from .patient import Patient
from .relay import Relay

pytestmark = pytest.mark.slow

LONG = 1_000
READING = 0.6
"""Seconds that a prompt of more than `LONG` tokens takes."""


class SlowReader(Patient):
    """Takes its time for long prompts; what it writes, it writes without end."""

    async def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        if len(job.tokens) > LONG:
            await asyncio.sleep(READING)
        async with aclosing(super().generate(job)) as pieces:
            async for piece in pieces:
                if job.limit > 500:
                    await asyncio.sleep(READING / 200)
                yield piece


class Deaf:
    """Around an application: it never hears that its client has left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.Event().wait()
            return message

        await self._app(scope, hear, send)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor's seconds, a thirtieth as long."""
    monkeypatch.setattr(latency, "LONGEST_SILENCE", READING / 2)
    monkeypatch.setattr(latency, "SOON", READING / 4)
    monkeypatch.setattr(latency, "FAIR_SECONDS", READING / 4)
    monkeypatch.setattr(latency, "ABANDONED", 3)
    monkeypatch.setattr(stream, "MOMENT", 0.01)
    monkeypatch.setattr(stream, "PING_INTERVAL", READING / 10)


def failed(*, slots: int = 64, around: type[Relay | Deaf] | None = None) -> Sequence[str]:
    """The checks of patience that fail of such a server."""
    gateway = ModelRegistry(SlowReader(slots=slots), Settings())
    app = create_app(gateway)
    with live_registry(gateway, around(app) if around else app) as url:
        return asyncio.run(_failed(url))


async def _failed(url: str) -> Sequence[str]:
    checks = [check for check in CHECKS if check.subject == latency.SUBJECT.name]
    async with Client.connect(url) as client:
        results = [result async for result in run_checks(client, checks)]
    untold = {result.check.id for result in results if result.outcome not in (Outcome.PASS, Outcome.FAIL)}
    assert untold <= {"leaving"}, results  # a server that gathers its answers has nobody leave in the middle
    return [result.check.id for result in results if result.outcome is Outcome.FAIL]


def test_a_patient_server_passes() -> None:
    assert failed() == []


def test_a_server_that_says_nothing_while_it_reads_is_found() -> None:
    assert {"early-start", "silence"} <= set(failed(around=Relay))


def test_a_server_that_begins_at_once_and_then_falls_silent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_INTERVAL", 60)
    assert failed() == ["silence"]


def test_a_server_where_the_small_wait_for_the_large_is_found() -> None:
    assert failed(slots=1) == ["small-beside-long"]


def test_a_server_that_works_on_for_those_who_left_is_found() -> None:
    assert "leaving" in failed(slots=1, around=Deaf)
