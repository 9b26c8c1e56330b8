"""Runs all checks against the real server: llama.cpp in its child process, with the default model."""

import asyncio

import pytest

from conftest import live_server
from dragoman.doctor import CHECKS, Client, Outcome, Result, run_checks
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve

SKIPPED = {"wrong-key", "thinking-first", "thinking-signed", "thinking-replay", "image-count"}
"""The server requires no key, and the model neither thinks nor sees."""

TOO_FAST = {"sse-bit-by-bit", "early-start", "silence", "small-beside-long", "leaving"}
"""Checks that skip on a fast machine."""


async def run_all(url: str) -> list[Result]:
    async with Client.connect(url) as client:
        return [result async for result in run_checks(client, CHECKS)]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_default_model_passes_every_check() -> None:
    with live_server(EmbeddedLlama(resolve(None).path), id="default") as url:
        results = asyncio.run(run_all(url))
    assert [(result.check.id, result.reason) for result in results if result.outcome in (Outcome.FAIL, Outcome.DEFECT)] == []
    assert {result.check.id for result in results if result.outcome is Outcome.SKIP} - TOO_FAST == SKIPPED
