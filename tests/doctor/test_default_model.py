"""Runs all checks against the real server: llama.cpp in its child process, with the default model."""

import asyncio
from collections.abc import Iterator

import pytest

from conftest import live_server
from dragoman.doctor import CHAT_API, CHECKS_OF, MESSAGES_API, RESPONSES_API, Api, Client, Outcome, Result, run_checks
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve

NO_KEY = {"wrong-key"}
NOT_RUN = {"tool-web-search", "tool-web-fetch", "tool-mcp"}
SKIPPED = {
    MESSAGES_API: {"thinking-first", "thinking-signed", "thinking-replay", "image-count"} | NO_KEY | NOT_RUN,
    CHAT_API: NO_KEY,
    RESPONSES_API: NO_KEY,
}
"""The server requires no key and runs none of these tools, and the model neither thinks nor sees."""

TOO_FAST = {"sse-bit-by-bit", "early-start", "silence", "small-beside-long", "leaving"}
"""Checks that skip on a fast machine."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(EmbeddedLlama(resolve(None).path, threads=1), id="default") as url:
        yield url


async def run_all(url: str, api: Api) -> list[Result]:
    async with Client.connect(url, api=api) as client:
        return [result async for result in run_checks(client, CHECKS_OF[api])]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "api",
    [
        pytest.param(api, id=api.name, marks=pytest.mark.slow if api is MESSAGES_API else pytest.mark.thorough)
        for api in CHECKS_OF
    ],
)
def test_the_default_model_passes_every_check(url: str, api: Api) -> None:
    results = asyncio.run(run_all(url, api))
    assert [(result.check.id, result.reason) for result in results if result.outcome in (Outcome.FAIL, Outcome.DEFECT)] == []
    assert {result.check.id for result in results if result.outcome is Outcome.SKIP} - TOO_FAST == SKIPPED[api]
