"""An agent's session on the real engine, with a tiny model, reuses its cached prompt, whatever other requests do."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bench.session import requests
from conftest import MODEL, body, live_server, user
from dragoman.engines.llama.embedded import EmbeddedLlama
from server.http import post
from vision_model import vision_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STANDS = 0.95
Request = Mapping[str, Any]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(EmbeddedLlama(vision_model(), parallel=4), id=MODEL) as url:
        yield url


class Agent:
    """An agent that sends turn after turn, and records the reused tokens."""

    def __init__(self, url: str, mark: str, task: str) -> None:
        self._url = url
        self._requests = iter(requests(mark, task, max_tokens=2))
        self._before = 0
        self.reused: list[float] = []

    def continue_session(self, turns: int = 1) -> None:
        for _, request in zip(range(turns), self._requests, strict=False):
            usage = post(self._url, {**request, "model": MODEL}).json["usage"]
            if self._before:
                self.reused.append(usage["cache_read_input_tokens"] / self._before)
            self._before = usage["input_tokens"] + usage["cache_read_input_tokens"]


@pytest.mark.clause("CACHE-4", "CC-4", "REQ-11")
def test_each_turn_of_an_agent_reuses_the_turn_before(url: str) -> None:
    agent = Agent(url, "one", "Mend the parser.")
    agent.continue_session(10)
    assert len(agent.reused) == 9
    assert min(agent.reused) >= STANDS


@pytest.mark.clause("CACHE-4")
def test_titles_probes_and_sub_agents_do_not_evict_a_session(url: str) -> None:
    main = Agent(url, "one", "Mend the parser.")
    others = [Agent(url, "one", "Look for callers."), Agent(url, "two", "Review."), Agent(url, "two", "Write a test.")]
    for turn in range(2):
        main.continue_session()
        post(url, body(user(f"Give this a title: story {turn} of a bridge by the river."), max_tokens=8))
        for other in others:
            other.continue_session()
        post(url, body(user("quota"), max_tokens=1))
    assert {agent: min(agent.reused) for agent in (main, *others) if min(agent.reused) < STANDS} == {}
